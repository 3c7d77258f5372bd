# The image holds one static binary and the sops program, and runs as nobody.
# Mount the configuration, the secrets file and the age key below /etc/latchgate,
# and keep /var/lib/latchgate: docs/deployment.md.
#
# The build runs where it is started, for whatever machine the image is for:
# Go compiles for others, and nothing of it has to be emulated.
FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG VERSION=
ARG TARGETOS=
ARG TARGETARCH=
ENV CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH
WORKDIR /src
COPY go.mod go.sum ./
COPY tools/sops/go.mod tools/sops/go.sum tools/sops/
RUN go mod download && cd tools/sops && go mod download
RUN cd tools/sops && go build -trimpath -ldflags '-s -w' -o /out/sops github.com/getsops/sops/v3/cmd/sops
COPY . .
RUN go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /out/latchgate ./cmd/latchgate \
    && install -d /out/etc/latchgate/actions && install -d -m 0700 -o 65532 -g 65532 /out/var/lib/latchgate && install -d -m 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/latchgate /out/sops /usr/local/bin/
COPY --from=build --chown=65532:65532 /out/var/lib/latchgate /var/lib/latchgate
COPY --from=build /out/tmp /tmp
COPY --from=build /out/etc/latchgate /etc/latchgate
COPY configs/container.toml /etc/latchgate/latchgate.toml
USER 65532:65532
ENV PATH=/usr/local/bin HOME=/var/lib/latchgate
# Freed memory is overwritten: a string made of a secret does not outlive the
# next collection (docs/security.md).
ENV GODEBUG=clobberfree=1
WORKDIR /var/lib/latchgate
VOLUME /var/lib/latchgate
EXPOSE 8470 9470
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=10s CMD ["latchgate", "healthcheck"]
ENTRYPOINT ["latchgate"]
CMD ["proxy"]
