# The digest of what the fuzz targets are made of; read by long.sh and figures.sh, at the top of the sources.
fuzz_sources() { find include lib vkernel-hooks/sodium test/fuzz -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1; }
