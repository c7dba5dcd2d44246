# The agent: one static program and nothing else. build/images.sh makes the context (the program alone) and the arguments.
FROM scratch
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="podflow-agent" \
      org.opencontainers.image.description="Exports the flows of a Kubernetes Node as IPFIX" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY podflow-agent /podflow-agent
# Root, since Kubernetes gives no other user an effective capability; the manifest leaves it NET_ADMIN alone.
USER 0:0
ENTRYPOINT ["/podflow-agent"]
CMD ["run", "--config", "/etc/podflow/antrea-agent.conf"]
