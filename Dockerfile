# supremix in a container. For CPUs:
#     docker build --tag supremix:cpu .
# For NVIDIA GPUs; the host needs the driver and the NVIDIA Container Toolkit, CUDA comes with PyTorch:
#     docker build --tag supremix:cuda \
#         --build-arg TORCH_FROM="--index-url https://download.pytorch.org/whl/cu130" .
# docs/cluster.md says how it is run, alone and as head and workers of a Ray cluster.
FROM python:3.11-slim AS install

# Where PyTorch comes from, as in the Makefile; empty: from the package index, with its CUDA.
ARG TORCH_FROM="--index-url https://download.pytorch.org/whl/cpu"
# Extras of pyproject.toml, separated by commas.
ARG EXTRAS=s3

RUN python -m venv /opt/supremix
ENV PATH=/opt/supremix/bin:$PATH
WORKDIR /source
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt ${TORCH_FROM} torch
RUN pip install --no-cache-dir --constraint constraints.txt hatchling
COPY pyproject.toml README.md LICENSE ./
COPY platform platform
COPY search_spaces search_spaces
COPY datasets datasets
COPY reports reports
RUN pip install --no-cache-dir --constraint constraints.txt --no-build-isolation ".[${EXTRAS}]"

FROM python:3.11-slim

# wget is what KubeRay asks a node with whether it is well.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 supremix \
    && mkdir --mode=1777 /cache /study
COPY --from=install /opt/supremix /opt/supremix
ENV PATH=/opt/supremix/bin:$PATH \
    SUPREMIX_CACHE=/cache \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

USER supremix
WORKDIR /study
ENTRYPOINT ["supremix"]
CMD ["--help"]
