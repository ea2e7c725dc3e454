# The gateway in an image with nothing beside it: no shell, no package manager, no root.
#
#   /config   configs, read-only; `run` takes /config/portcullis.toml unless told otherwise
#   /certs    certificates and keys, read-only, readable by user 65532; a config reaches them as ../certs/NAME.crt
#   /state    what the gateway keeps between runs, its only writable place
#
# Mount folders, not single files: a file that is replaced by another is not seen through a mount of the file.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
# The dependencies in a layer of their own: a change of our source does not compile them again.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
 && echo 'fn main() {}' >src/main.rs \
 && touch src/lib.rs \
 && cargo build --locked --release
COPY src src
# Made newer than the two that stood in for them, or cargo takes those for what is to be built.
RUN touch src/main.rs src/lib.rs \
 && cargo build --locked --release \
 && install -D --strip target/release/portcullis /image/usr/local/bin/portcullis \
 && install -d /image/config /image/certs \
 && install -d -m 700 -o 65532 -g 65532 /image/state
COPY LICENSE /image/usr/share/doc/portcullis/copyright

# glibc, CA certificates, time zones, and the user 65532, called nonroot.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="Portcullis" \
      org.opencontainers.image.description="A TLS edge gateway" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /image /
# Whatever the config says: beside it, where the state would be, nothing can be written.
ENV PORTCULLIS_SERVER_STATE_DIR=/state
VOLUME /state
WORKDIR /
# As a number, so that orchestrators can see that it is not root.
USER 65532:65532
# Any port will do, those below 1024 too where the container's network lets users have them, as Docker's does.
EXPOSE 8080 8443
STOPSIGNAL SIGTERM
# Asks the admin listener of the config's default. Unhealthy while it drains, too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s --retries=3 \
  CMD ["portcullis", "status", "--ready", "--admin", "127.0.0.1:9901"]
ENTRYPOINT ["portcullis"]
CMD ["run"]
