# syntax=docker/dockerfile:1
# Stage 1 builds promptd; stage 2 holds the two programs, the libraries they
# load, the embedded encoder, and an unprivileged user.
#
#   docker build -t promptd .
#   docker run --rm -p 127.0.0.1:7080:7080 -v promptd-data:/data promptd

FROM debian:bookworm AS build
ARG PROMPTD_TORCH=cpu
WORKDIR /src
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates git make
COPY scripts/setup scripts/setup
RUN PROMPTD_TORCH=${PROMPTD_TORCH} scripts/setup build
COPY . .
RUN make build && scripts/install-tree build/release /opt/promptd

FROM debian:bookworm-slim
COPY --from=build /opt/promptd /opt/promptd
# The image decoders and gRPC come as Debian packages, so that their security
# updates reach the image by a rebuild.
RUN apt-get update \
 && apt-get install -y --no-install-recommends $(cat /opt/promptd/packages.txt) \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 65532 --home-dir /data promptd \
 && install -d -o promptd /data
ENV PATH=/opt/promptd/bin:$PATH \
    PROMPTD_DATA_DIR=/data \
    PROMPTD_MODELS=/opt/promptd/models \
    OPENCV_IO_MAX_IMAGE_PIXELS=50000000
USER promptd
VOLUME /data
EXPOSE 7080
STOPSIGNAL SIGTERM
# A container's loopback is of no use to its host: publish the port on the
# host's loopback, as above, or put TLS in front.
ENTRYPOINT ["promptd", "--listen", "0.0.0.0:7080", "--http", "127.0.0.1:7081", "--insecure-allow-remote"]
