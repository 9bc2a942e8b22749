#compdef tracecar
# zsh completion of tracecar: tracecar completion zsh > "${fpath[1]}/_tracecar"
_tracecar() {
  local -a commands
  commands=(
    'proxy:run a sidecar beside a service'
    'validate:check configuration and name every mistake at once'
    'view:receive traces, keep them in memory, show them'
    'version:print the version'
    'help:explain a command'
    'completion:print a completion script for your shell'
  )
  if ((CURRENT == 2)); then
    _describe command commands
  else
    local name=$words[2]
    shift words
    ((CURRENT--))
    case $name in
      proxy) _arguments '--help[explain it]' \
        '*--config[YAML file or folder of resources; watched. Give it again for more.]:value:_files' \
        '--namespace[namespace of this workload\: short host names are resolved in it]:value:' \
        '--labels[labels of this workload\: they choose its Sidecar resource]:value:' \
        '--capture[redirect\: takes the pod'\''s connections as `tracecar init` redirects them]:value:(none redirect)' \
        '--inbound[port for captured connections to the pod]:value:' \
        '--outbound[port for captured connections from the pod; loopback only]:value:' \
        '--admin[admin port; loopback only]:value:' \
        '--health[health port\: /healthz/ready, /healthz/live, probes, /drain]:value:' \
        '--metrics[metrics port\: /metrics for Prometheus]:value:' \
        '--drain-seconds[time that work under way may take after SIGTERM]:value:' \
        '--log-level[least level that is written to stderr]:value:(debug info warn error)' \
        '--access-log[one JSON line a request on stdout]:value:(off json)' \
        '--record-ring[memory for records and as much for their texts; 64k to 256m]:value:' ;;
      validate) _arguments '--help[explain it]' \
        '--namespace[with --labels\: namespace of the workload]:value:' \
        '--labels[check as the workload with these labels sees it; without, as every Sidecar does]:value:' \
        '--capture[redirect\: check as an injected pod sees it, which needs no Sidecar]:value:(none redirect)' \
        '--output[for people, or one JSON document for tools]:value:(text json)' \
        '*:path:_files' ;;
      view) _arguments '--help[explain it]' \
        '--otlp[where spans come in\: OTLP over HTTP, JSON]:value:' \
        '--query[page and Jaeger'\''s query API v3; with --trace where to ask, also a URL]:value:' \
        '--store-bytes[memory for traces; the oldest go first]:value:' \
        '--trace[print this trace as a waterfall and end; Jaeger may be asked too]:value:' \
        '--json[with --trace\: OTLP JSON instead of a picture]' \
        '--width[with --trace\: columns of the picture, 60 to 500]:value:' \
        '--no-color[with --trace\: no colors (so does NO_COLOR)]' ;;
      version) _arguments '--help[explain it]' ;;
      help) _arguments '--help[explain it]' \
        '1:word:(proxy validate view version completion)' ;;
      completion) _arguments '--help[explain it]' \
        '1:word:(bash zsh fish)' ;;
    esac
  fi
}
if [[ $funcstack[1] == _tracecar ]]; then _tracecar "$@"; else compdef _tracecar tracecar; fi
