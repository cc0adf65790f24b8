# One image for every process of the mesh; docker-compose.yml gives each its command.
FROM python:3.11-slim

RUN useradd --create-home --uid 10001 countermand
WORKDIR /app

# The lock pins everything with hashes, the tools for tests and the embedded stack among it.
COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --only-binary :all: --require-hashes -r requirements.lock

COPY beat_schedule.py ./
COPY shared ./shared
COPY gateway ./gateway
COPY workers ./workers
# For `countermand migrate` and `countermand migrate-orders` only.
COPY sandbox ./sandbox

USER countermand
EXPOSE 8000
CMD ["python", "-m", "gunicorn", "--config", "python:gateway.serving", "--bind", "0.0.0.0:8000", "gateway.wsgi:application"]
