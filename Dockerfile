# Saved fits behind a server: docker build -t fits . && docker run -v "$PWD/fits:/fits:ro" -p 8000:8000 fits
FROM python:3.12-slim
COPY . /source
RUN pip install --no-cache-dir "/source[app]" && rm -rf /source
USER nobody
EXPOSE 8000
CMD ["poolwise", "serve", "/fits", "--host", "0.0.0.0", "--workers", "2"]
