module github.com/latchgate/latchgate/proxy/grpctest

go 1.26.0

require (
	github.com/latchgate/latchgate v0.0.0
	google.golang.org/grpc v1.82.1
)

replace github.com/latchgate/latchgate => ../..
