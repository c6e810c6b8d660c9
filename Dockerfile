# Freshet's one image: the `freshet` program, which plays every role, and the configuration in /etc/freshet.
#
#   docker build -t freshet:latest .
#   docker run --rm freshet:latest --help

FROM swift:6.3-bookworm AS build
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      librdkafka-dev libzstd-dev libopenblas-dev libxxhash-dev libsimdjson-dev librocksdb-dev pkg-config \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /build
# The processor that kernels are compiled for: haswell (AVX2 and FMA) unless told; `generic` runs on any x86-64.
ARG FRESHET_CPU
# Dependencies are fetched again only when the manifest changes.
COPY Package.swift ./
RUN swift package resolve
COPY Sources Sources
# The manifest names the test targets, so SwiftPM wants their directories, though nothing in them is built.
COPY Tests Tests
RUN swift build -c release --static-swift-stdlib --product freshet \
 && install -D "$(swift build -c release --static-swift-stdlib --product freshet --show-bin-path)/freshet" /out/freshet \
 && strip /out/freshet

FROM debian:bookworm-slim
RUN apt-get update -qq \
 && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      ca-certificates curl librdkafka1 libopenblas0-pthread librocksdb7.8 libsimdjson14 libstdc++6 libxml2 libxxhash0 libzstd1 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --home-dir /var/lib/freshet --shell /usr/sbin/nologin freshet \
 && install -d -o freshet -g freshet /var/lib/freshet
COPY --from=build /out/freshet /usr/local/bin/freshet
COPY Config /etc/freshet
USER freshet
WORKDIR /var/lib/freshet
# Trainers use one BLAS thread each; OpenBLAS would start one a core.
ENV OPENBLAS_NUM_THREADS=1
ENTRYPOINT ["freshet"]
CMD ["--help"]
