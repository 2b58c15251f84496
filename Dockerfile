# The environment of .binder in a container: for one machine, or for every student of a JupyterHub.
#
#   docker build -t mathdl .
#   docker run --rm -p 8888:8888 -v "$PWD":/home/jovyan/work mathdl
#
# On a JupyterHub its spawner starts `jupyterhub-singleuser` instead of the command below, and mounts
# the student's storage over the home, so nothing that matters is installed there.
FROM python:3.11.14-slim-bookworm

# Of the hub: chart 4.3.3 of Zero to JupyterHub, as in deploy/jupyterhub.
ARG JUPYTERHUB=5.4.4

# git fetches the notebooks. Debian keeps one version of it in a release, so none is named.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 --shell /bin/bash jovyan

WORKDIR /opt/book
COPY .binder .binder
COPY pyproject.toml README.md LICENSE LICENSE-CC-BY-4.0 ./
COPY src/mathdl src/mathdl
RUN pip install --no-cache-dir -r .binder/requirements.txt "jupyterhub==${JUPYTERHUB}" \
    && JUPYTER_CONFIG_DIR=/usr/local/etc/jupyter bash .binder/postBuild

ENV NBGITPULLER_APP=lab \
    PYTHONUNBUFFERED=1
# As a number, by which a cluster can tell that it is not root.
USER 1000
WORKDIR /home/jovyan
EXPOSE 8888
CMD ["jupyter", "lab", "--ip=0.0.0.0", "--no-browser"]
