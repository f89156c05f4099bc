# One image for every service; the command says which: `docker run filbert connections`.
FROM node:24-bookworm-slim AS manifests
WORKDIR /app
# The manifests alone first: dependencies are installed anew only when one of these changes.
COPY package.json package-lock.json .npmrc ./
COPY packages/contracts/package.json packages/contracts/
COPY packages/gnutella/package.json packages/gnutella/
COPY packages/kit/package.json packages/kit/
COPY services/bootstrap/package.json services/bootstrap/
COPY services/connections/package.json services/connections/
COPY services/router/package.json services/router/
COPY services/search-index/package.json services/search-index/
COPY services/transfers/package.json services/transfers/
COPY cli/package.json cli/
COPY proto/package.json proto/

# The messages of proto/. Only what generates them is installed: nothing else of what a clone needs for tests and checks.
FROM manifests AS messages
LABEL filbert.stage="messages"
RUN npm ci --ignore-scripts --workspace=proto --cache=/tmp/npm && rm -r /tmp/npm
COPY buf.yaml buf.gen.yaml ./
COPY proto proto
COPY scripts/generate-protos.ts scripts/
RUN npm run --silent prepare

FROM manifests
# No package needs its install script here, and the image's own Node runs what the workspace's would.
# Types and source maps are two thirds of the files, and nothing reads them.
RUN npm ci --omit=dev --ignore-scripts --cache=/tmp/npm && rm -r /tmp/npm \
 && find node_modules -type f \( -name '*.map' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -delete
LABEL org.opencontainers.image.title="Filbert" \
      org.opencontainers.image.description="A Gnutella 0.6 ultrapeer built out of services" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY LICENSE ./
COPY packages packages
COPY --from=messages /app/packages/contracts/src/gen packages/contracts/src/gen
COPY services services
COPY cli cli
COPY scripts/containers/*.ts scripts/containers/
# A volume that is mounted here takes over the owner. The root file system may be read-only: nothing else is written.
RUN mkdir -p /data /control /share && chown 1000:1000 /data /control /share
# The command line: `docker compose exec transfers filbert status`.
RUN ln -s /app/scripts/containers/filbert.ts /usr/local/bin/filbert
ENV NODE_ENV=production FILBERT_ADMIN=0.0.0.0:9346
USER 1000:1000
VOLUME /data
# Gnutella, admin (metrics and probes), control (gRPC, only with a token), and what connections hands to transfers.
EXPOSE 6346 9346 9347 6348
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/app/scripts/containers/readiness-check.ts"]
ENTRYPOINT ["node", "/app/scripts/containers/filbert-service.ts"]
CMD ["connections"]
