# The image that runs the proxy: docker build --tag openrouter-attribution-proxy .
# Any base will do whose `python` is 3.11 or later and can make virtual environments.
ARG BASE_IMAGE=python:3.13-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /src
# The locked packages first: they change less often than the code. /build holds what builds, /opt/proxy what runs.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv /build \
    && python -m venv --without-pip /opt/proxy \
    && /build/bin/pip install --no-cache-dir --only-binary :all: --require-hashes \
        --requirement requirements-build.lock \
    && /build/bin/pip --python /opt/proxy/bin/python install --no-cache-dir --no-compile \
        --only-binary :all: --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY proxy proxy
# Bytecode that is never compared with its source: a read-only root cannot renew it, and layers may lose timestamps.
RUN /build/bin/pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /dist . \
    && /build/bin/pip --python /opt/proxy/bin/python install --no-cache-dir --no-index --no-deps --no-compile /dist/*.whl \
    && /opt/proxy/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/proxy/lib

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="openrouter-attribution-proxy" \
      org.opencontainers.image.description="A local reverse proxy that stamps OpenRouter attribution headers on every request" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /opt/proxy /opt/proxy
# [::] is every address of both families, and of the one that there is.
ENV PATH="/opt/proxy/bin:$PATH" \
    OPENROUTER_LISTEN=[::]:6767
# Shows that the image works, and leaves bytecode of the standard library, which official images come without.
RUN ["openrouter-proxy", "demo", "--once"]
USER 65532:65532
EXPOSE 6767
STOPSIGNAL SIGTERM
# It asks the proxy where that really listens. -I: by nothing that the environment or the working directory brings along.
HEALTHCHECK --interval=5s --timeout=3s --start-period=5s CMD ["python", "-I", "-m", "proxy", "health"]
ENTRYPOINT ["openrouter-proxy"]
