# A static binary and nothing else. From the source: docker build -t fxcast .
# With the binary of a release: make release && docker build --build-arg PROGRAM=release -t fxcast .
ARG PROGRAM=build

FROM golang:1.26-alpine AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o /broadcaster ./cmd/broadcaster

FROM scratch AS release
ARG TARGETARCH
COPY dist/bin/broadcaster-linux-${TARGETARCH} /broadcaster

FROM ${PROGRAM} AS program

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
# For the hours of the market, which are New York's.
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /zoneinfo.zip
ENV ZONEINFO=/zoneinfo.zip
COPY --from=program /broadcaster /broadcaster
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
# It asks the server in this container, by the settings of the container, and not
# Redis: a restart would not bring Redis back.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["/broadcaster", "healthcheck"]
ENTRYPOINT ["/broadcaster"]
