# One image for web, workers and beat; the command tells which.
FROM node:24-bookworm-slim AS frontend
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 CYTOLOOP_VAR=/var/lib/cytoloop \
    NUMBA_CACHE_DIR=/var/cache/cytoloop
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 libglib2.0-0 curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 cytoloop \
    && install -d -o cytoloop /var/lib/cytoloop /var/cache/cytoloop
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --no-deps --requirement requirements.txt
COPY manage.py ./
COPY annotator/ annotator/
COPY inference/ inference/
COPY training/ training/
COPY --from=frontend /src/frontend/dist frontend/dist
USER cytoloop
RUN python -m inference.compiled
EXPOSE 8000
CMD ["uvicorn", "annotator.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--no-proxy-headers"]
