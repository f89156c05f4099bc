# One image for every service; the command says which: `docker run filbert connections`.
FROM node:24-bookworm-slim AS build
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
# No package needs its install script here, and the image's own Node runs what the workspace's would.
RUN npm ci --ignore-scripts
COPY buf.yaml buf.gen.yaml ./
COPY proto proto
COPY scripts/generate-protos.ts scripts/
RUN npm run --silent prepare && npm prune --omit=dev --ignore-scripts

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="Filbert" \
      org.opencontainers.image.description="A Gnutella 0.6 ultrapeer built out of services" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /app
COPY --from=build /app/node_modules node_modules
COPY package.json LICENSE ./
COPY packages packages
COPY --from=build /app/packages/contracts/src/gen packages/contracts/src/gen
COPY services services
COPY cli cli
COPY scripts/containers/*.ts scripts/containers/
# A volume that is mounted here takes over the owner. The root file system may be read-only: nothing else is written.
RUN mkdir -p /data /control /share && chown 1000:1000 /data /control /share
ENV NODE_ENV=production FILBERT_ADMIN=0.0.0.0:9346
USER 1000:1000
VOLUME /data
# Gnutella, admin (metrics and probes), control (gRPC, only with a token), and what connections hands to transfers.
EXPOSE 6346 9346 9347 6348
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/app/scripts/containers/readiness-check.ts"]
ENTRYPOINT ["node", "/app/scripts/containers/filbert-service.ts"]
CMD ["connections"]
