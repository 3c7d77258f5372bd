# The image holds one static binary and the sops program, and runs as nobody.
# Mount the configuration, the secrets file and the age key; keep /var/lib/latchgate.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
COPY tools/sops/go.mod tools/sops/go.sum tools/sops/
RUN go mod download && cd tools/sops && go mod download
RUN cd tools/sops && CGO_ENABLED=0 GOBIN=/out go install -trimpath -ldflags '-s -w' github.com/getsops/sops/v3/cmd/sops
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /out/latchgate ./cmd/latchgate \
    && mkdir -p /out/var/lib/latchgate && chown 65532:65532 /out/var/lib/latchgate

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/latchgate /out/sops /usr/local/bin/
COPY --from=build --chown=65532:65532 /out/var/lib/latchgate /var/lib/latchgate
USER 65532:65532
ENV PATH=/usr/local/bin
# Freed memory is overwritten: a string made of a secret does not outlive the
# next collection (docs/security.md).
ENV GODEBUG=clobberfree=1
WORKDIR /var/lib/latchgate
EXPOSE 8470 9470
ENTRYPOINT ["latchgate"]
CMD ["proxy", "--listen", "0.0.0.0:8470", "--metrics-listen", "0.0.0.0:9470"]
