# The collector: one static program and nothing else. build/images.sh makes the context (the program alone) and the arguments.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="podflow-collector" \
      org.opencontainers.image.description="Collects IPFIX into Elasticsearch, OpenSearch or its own store" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY podflow-collector /podflow-collector
# Nobody: every port is above 1024, and what is written goes into a volume.
USER 65532:65532
WORKDIR /var/lib/podflow
EXPOSE 4739/udp 4739/tcp 4740/tcp 8080/tcp
ENTRYPOINT ["/podflow-collector"]
CMD ["run", "--config", "/etc/podflow/collector.yml"]
