# kia serve on CPUs. Build: docker build -t kia .   Run and secure it: docs/serving.md
FROM python:3.12-slim

# Nobody but this user runs anything, and it owns nothing that it runs.
RUN useradd --create-home --uid 10001 kia
WORKDIR /opt/kia
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src

# PyTorch's own index has wheels without CUDA, a tenth of the size.
RUN pip install --no-cache-dir -c constraints.txt \
      --extra-index-url https://download.pytorch.org/whl/cpu ".[serving]"

USER kia
# Nothing is ever fetched: the model is mounted at /model.
ENV HF_HUB_OFFLINE=1 PYTHONUNBUFFERED=1
EXPOSE 8000
HEALTHCHECK --start-period=60s --interval=10s --timeout=5s CMD ["python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]

# Other machines reach it, so it refuses to start without KIA_TOKEN. SIGTERM finishes what is running.
ENTRYPOINT ["kia", "serve", "/model", "--host", "0.0.0.0"]
