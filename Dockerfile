# chaosrunner's injector: what an ephemeral container in a target pod, and the guardian's pod, run. Nothing else is in it.
#
#   docker buildx build --platform linux/amd64,linux/arm64 --build-arg VERSION=$(.venv/bin/chaosrunner --version | awk '{print $NF}') \
#       -t REGISTRY/chaosrunner/injector:VERSION --push .
#
# It runs as user 65532. Where a fault needs NET_ADMIN, the pod's security context says root (a capability that is added
# is only effective for root), with all other capabilities dropped, no privilege escalation and a read-only root.
FROM python:3.13-slim

ARG VERSION=unknown
LABEL org.opencontainers.image.title="chaosrunner injector" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}"

RUN apt-get update \
 && apt-get install -y --no-install-recommends nftables iproute2 \
 && rm -rf /var/lib/apt/lists/* /usr/local/lib/python3*/site-packages/pip* /usr/local/bin/pip*

COPY chaosrunner/__init__.py /opt/chaosrunner/chaosrunner/__init__.py
COPY chaosrunner/injector/*.py /opt/chaosrunner/chaosrunner/injector/
RUN PYTHONPATH=/opt/chaosrunner python3 -m compileall -q /opt/chaosrunner \
 && PYTHONPATH=/opt/chaosrunner python3 -m chaosrunner.injector.pod --version

ENV PYTHONPATH=/opt/chaosrunner PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /opt/chaosrunner
USER 65532:65532
ENTRYPOINT ["python3", "-m", "chaosrunner.injector.pod"]
