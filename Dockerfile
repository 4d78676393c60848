# One image for both programs: the pod names which one runs. Both are static and built beforehand by `make build`,
# so the build runs nothing: it needs no network with BASE=scratch and builds any architecture on any machine.
ARG BASE=gcr.io/distroless/static-debian12:nonroot
FROM ${BASE}
ARG TARGETARCH
ARG VERSION=dev
LABEL org.opencontainers.image.title="zombie-operator" \
      org.opencontainers.image.description="Finds the pods that leak zombie processes, says who leaks them and why, and cures them with the least harm that works" \
      org.opencontainers.image.source="https://github.com/zombie-operator/zombie-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"
COPY dist/linux_${TARGETARCH}/zombie-agent /zombie-agent
COPY dist/linux_${TARGETARCH}/zombie-controller /zombie-controller
# The agent needs uid 0 for the runtime's socket and asks for it in its pod; nothing else should get it by accident.
USER 65532:65532
