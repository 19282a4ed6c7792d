# The version is pinned here alone; both stages use it.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.json ./
COPY scripts scripts
COPY src src
COPY workers workers
RUN npm run build

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /build
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts

FROM ${NODE_IMAGE}
LABEL org.opencontainers.image.title="Everlog" \
      org.opencontainers.image.description="Archives the log of every GitHub Actions job" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /build/node_modules node_modules
COPY --from=build /build/dist dist
COPY package.json LICENSE ./
RUN ln -s /app/dist/src/cli/main.js /usr/local/bin/everlog \
 && mkdir /data /spool && chown 10001:10001 /data /spool
# With a read-only root file system, mount what is written: /tmp or EVERLOG_SPOOL_DIR (logs on their way), and /data
# for the embedded queue or a folder archive. A new volume there belongs to the user below; on Fargate only because it is named.
VOLUME ["/data", "/spool"]
USER 10001:10001
# Paths of the defaults (./data/queue, ./data/archive) are relative to here.
WORKDIR /
EXPOSE 3000 9464
# Everlog ends on SIGTERM by itself; `docker run --init` also reaps what it started.
ENTRYPOINT ["everlog"]
CMD ["--help"]
