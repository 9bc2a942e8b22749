# One image with all programs of Tracecar: the sidecar, the viewer, the command.
#
#   npm ci && npm run build && docker build -t tracecar .
#   docker run --read-only --rm tracecar --help
#
# It holds dist/: the bundles, and koffi with its one native file for a Node.js without node:ffi. nft, or
# iptables where a kernel has no nf_tables, is for `tracecar init`, which runs as root in an init
# container; everything else runs as uid 1337 and writes nothing to the file system.
FROM docker.io/library/node:26.12.1-bookworm-slim

# A base that already has nft (as the tests' own does) needs no network here.
RUN command -v nft >/dev/null \
  || (apt-get update && apt-get install -y --no-install-recommends nftables iptables \
  && rm -rf /var/lib/apt/lists/*)

COPY dist/ /opt/tracecar/
# The sidecar starts in half the time with the code that this Node.js makes of it (src/cli/keep-code.ts).
RUN ln -s /opt/tracecar/tracecar /usr/local/bin/tracecar && node /opt/tracecar/keep-code.cjs

# Programs that hold private keys leave neither core dumps nor heap snapshots nor reports: the launcher sets
# the limit of core files to 0 and switches off the debugger's signal, the programs make themselves not
# dumpable, and Node.js writes snapshots and reports only when it is asked to, which nobody here does.
ENV NODE_ENV=production
USER 1337:1337
ENTRYPOINT ["/opt/tracecar/tracecar"]
CMD ["--help"]
