#compdef tracecar
# zsh completion of tracecar: tracecar completion zsh > "${fpath[1]}/_tracecar"
_tracecar() {
  local -a commands
  commands=(
    'proxy:run a sidecar beside a service'
    'run:run a command with a sidecar, without Kubernetes'
    'validate:check configuration and name every mistake at once'
    'check:say who would break if only mutual TLS were taken'
    'view:receive traces, keep them, show them'
    'explain:say why a trace went as it did, hop by hop'
    'ca:sign identities: the authority of a mesh'
    'install:print the manifests that bring Tracecar into a cluster'
    'uninstall:print what kubectl is to delete'
    'inject:put sidecars into manifests, without a cluster'
    'uninject:take sidecars out of manifests'
    'injector:run the admission webhook (in a cluster)'
    'init:write a pod's redirection rules (in a pod)'
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
        '--namespace[of this workload, of short host names, and of documents that name none]:value:' \
        '--labels[labels of this workload\: they choose its Sidecar resource]:value:' \
        '--root-namespace[whose policies without a selector hold for all namespaces]:value:' \
        '--capture[redirect\: takes the pod'\''s connections as `tracecar init` redirects them]:value:(none redirect)' \
        '--inbound[port for captured connections to the pod]:value:' \
        '--outbound[port for captured connections from the pod; loopback only]:value:' \
        '--admin[admin port; loopback only]:value:' \
        '--health[health port\: /healthz/ready, /healthz/live, probes, /drain]:value:' \
        '--metrics[metrics port\: /metrics for Prometheus]:value:' \
        '--app-metrics[the application'\''s page of metrics, to be merged with ours]:value:' \
        '--merged-metrics[port of both, for scrapers that have no mTLS; with --app-metrics]:value:' \
        '--drain-seconds[time that work under way may take after SIGTERM]:value:' \
        '--warm-up-ms[at most this long the hot path is warmed before ready; 0 switches it off]:value:' \
        '--log-level[least level that is written to stderr]:value:(debug info warn error)' \
        '--access-log[one JSON line a request on stdout]:value:(off json)' \
        '--record-ring[memory for records and as much for their texts; 64k to 256m]:value:' \
        '--identity[authority that signs the certificates of mutual TLS, as `tracecar ca` is one; port 15010]:value:' \
        '--token[proves to the authority who this workload is; read for each call]:value:_files' \
        '--trust-bundle[PEM roots of the trust domain; watched. The variable may hold the PEM text itself]:value:_files' \
        '--trust-domain[of every identity of the mesh]:value:' \
        '--service-account[refuses certificates for other accounts; without it the first one decides]:value:' \
        '--identity-dir[memory-backed folder where key and certificate are kept for a restart]:value:_files' \
        '--forward-client-cert[x-forwarded-client-cert names callers; set\: the last one; off\: none]:value:(append set off)' \
        '--secrets[where Secrets are mounted\: of `shop` DIR/shop/tls.crt and tls.key]:value:_files' \
        '--trusted-hops[proxies before a gateway whose X-Forwarded-For is believed]:value:' \
        '--proxy-protocol[on\: connections to a gateway begin with a PROXY header, version 1 or 2]:value:(off on)' \
        '--spans[kinds of spans that are exported; all are counted and logged]:value:(both server client)' \
        '--keep-errors[traces kept because of an error, a second and route, at any sampler; 0\: none]:value:' \
        '--keep-slow[likewise because of a slow request]:value:' \
        '--slow-ms[slow from here on; without it, and beside it, from 3 times the route'\''s own p99]:value:' \
        '--keep[kept as an error beside 5xx and failures]:value:(4xx)' \
        '--history[memory for 30 s of records that make kept traces whole; 256k to 64m, or 0]:value:' \
        '*--peer[where sidecars may be that ask to keep a trace, or none; may be repeated]:value:' \
        '--edge[for requests from outside\: traces go on, are dropped, or linked to]:value:(honour ignore link)' \
        '--edge-response-header[with --edge\: server-timing says the trace'\''s id]:value:(off trace traceparent)' \
        '--debug-token[traces requests with x-tracecar-debug\: TOKEN; a secret, better as a variable]:value:' \
        '--correlation-headers[fields that join requests as x-request-id does\: x-order-id,x-job]:value:' \
        '*--untraced-path[no spans for paths that begin so, as /healthz; may be repeated]:value:' \
        '--zone[where this workload runs, for bytes by zone]:value:' ;;
      run) _arguments '--help[explain it]' \
        '*--config[YAML file or folder of resources; watched. Give it again for more.]:value:_files' \
        '--namespace[of this workload, of short host names, and of documents that name none]:value:' \
        '--labels[labels of this workload\: they choose its Sidecar resource]:value:' \
        '--identity[authority that signs the certificates of mutual TLS, as `tracecar ca` is one; port 15010]:value:' \
        '--token[proves to the authority who this workload is; read for each call]:value:_files' \
        '--trust-bundle[PEM roots of the trust domain; watched. The variable may hold the PEM text itself]:value:_files' \
        '--trust-domain[of every identity of the mesh]:value:' \
        '--service-account[refuses certificates for other accounts; without it the first one decides]:value:' \
        '--service-name[name of its spans]:value:' \
        '--address[address that COMMAND has, for others on this machine]:value:' \
        '--propagation[node\: NODE_OPTIONS gets the preload that joins the spans of Node.js applications]:value:(node off)' \
        '--skip-inbound-ports[ports of COMMAND that callers reach directly\: 22,9000-9010]:value:' \
        '--skip-outbound-ports[ports elsewhere that COMMAND reaches directly]:value:' \
        '--skip-outbound-cidrs[addresses that COMMAND reaches directly\: 10.0.0.0/8]:value:' \
        '--quiet[prints no line of its own while all is well]' ;;
      validate) _arguments '--help[explain it]' \
        '--namespace[of the workload, with --labels; also of documents that name none]:value:' \
        '--labels[check as the workload with these labels sees it; without, as every Sidecar does]:value:' \
        '--root-namespace[whose policies without a selector hold for all namespaces]:value:' \
        '--capture[redirect\: check as an injected pod sees it, which needs no Sidecar]:value:(none redirect)' \
        '--output[for people, or one JSON document for tools]:value:(text json)' \
        '*:path:_files' ;;
      check) _arguments '--help[explain it]' \
        '--strict[who would be refused by a PeerAuthentication that says STRICT]' \
        '*--config[resources as they are to be\: STRICT ports, and names of callers]:value:_files' \
        '--root-namespace[whose PeerAuthentication without a selector is of all namespaces]:value:' \
        '--output[for people, or one JSON document for tools]:value:(text json)' \
        '*:path:_files' ;;
      view) _arguments '--help[explain it]' \
        '--otlp[where spans come in\: OTLP over HTTP, JSON or protobuf]:value:' \
        '--grpc[the same\: OTLP over gRPC; none\: nowhere]:value:' \
        '--query[page and Jaeger'\''s query API v3; with --trace where to ask, also a URL]:value:' \
        '--store-bytes[memory for traces, or file and memory; the oldest go first]:value:' \
        '--store[keep traces in this SQLite file, over restarts]:value:_files' \
        '--import[begin with the traces of this file\: OTLP JSON, one document or one a line]:value:_files' \
        '--export[with --trace\: write it to this file as a line of OTLP JSON; - is stdout]:value:_files' \
        '--trace[print this trace as a waterfall and end; Jaeger may be asked too]:value:' \
        '--json[with --trace\: OTLP JSON instead of a picture]' \
        '--width[with --trace\: columns of the picture, 60 to 500]:value:' \
        '--no-color[with --trace\: no colors (so does NO_COLOR)]' ;;
      explain) _arguments '--help[explain it]' \
        '--trace[the trace\: 32 hex digits, as a response, a log line or the page has them]:value:' \
        '--query[where to ask\: a viewer, or Jaeger 2; also a URL]:value:' \
        '--json[one JSON object for tools instead of text]' \
        '--width[columns of the text, 60 to 500]:value:' \
        '--no-color[no colors (so does NO_COLOR)]' ;;
      ca) _arguments '--help[explain it]' \
        '--state[folder of roots, issuer, tokens and reports; made if it is not there, keys in it are 0600]:value:_files' \
        '--listen[where sidecars ask for certificates (TLS)]:value:' \
        '--metrics[metrics of the authority, plain HTTP]:value:' \
        '--trust-domain[whose identities it signs; cannot be changed later]:value:' \
        '--authority-namespace[its own\: sidecars expect spiffe\://TRUST-DOMAIN/ns/NAME/sa/tracecar-ca]:value:' \
        '--leaf-seconds[how long certificates of sidecars live; at most a day]:value:' \
        '--kubernetes[in a pod\: tokens of service accounts, by TokenReview; state in a Secret]' \
        '--issuer-cert[an outside authority'\''s issuer (PEM, with what is between it and its root), read live]:value:_files' \
        '--issuer-key[the key of --issuer-cert (PEM)]:value:_files' \
        '--roots[the roots of --issuer-cert (PEM), all that sidecars are to trust]:value:_files' \
        '--namespace[token\: the namespace of the workload]:value:' \
        '--service-account[token\: the service account of the workload]:value:' \
        '--hours[token\: how long it is good, at most 8760]:value:' \
        '*--gone[rotate\: a sidecar, or all of a SPIFFE id, that `status` lists and that will not come back]:value:' \
        '--output[status\: for people, or one JSON document for tools]:value:(text json)' \
        '--log-level[serve\: lines below it are not written; `info` has one line a certificate]:value:(debug info warn error)' \
        '1:word:(serve rotate status token bundle)' ;;
      install) _arguments '--help[explain it]' \
        '--image[image of all programs, built from the Dockerfile; required]:value:' \
        '--image-pull-policy[of the injector, the viewer and every sidecar]:value:(Always IfNotPresent Never)' \
        '--replicas[of the injector; pods of annotated namespaces wait while none is ready]:value:' \
        '--viewer[also `tracecar view` as a Service\: traces in memory, page on 16686]' \
        '--propagation[the preload for Node.js where neither pod nor namespace says]:value:(off node)' \
        '--identity[on\: an authority gives every sidecar an identity, and sidecars speak mutual TLS]:value:(on off)' \
        '--trust-domain[of every identity; cannot be changed later]:value:' \
        '--issuer-secret[Secret of tracecar-system with an issuer from outside, as of cert-manager]:value:' \
        '--otlp-endpoint[where sidecars and injector send spans (OTLP over HTTP)]:value:' ;;
      uninstall) _arguments '--help[explain it]' ;;
      inject) _arguments '--help[explain it]' \
        '--file[YAML or JSON to read, - for standard input; also -f FILE]:value:_files' \
        '--image[image of the sidecar and of its init container]:value:' \
        '--image-pull-policy[of both containers]:value:(Always IfNotPresent Never)' \
        '--namespace[namespace of documents that name none]:value:' \
        '--propagation[trace propagation where a pod does not say tracecar.dev/propagation]:value:(node off)' \
        '--identity[authority of identities; needs --trust-bundle]:value:' \
        '--trust-bundle[PEM roots of the mesh; without it pods get no identity]:value:_files' \
        '--trust-domain[of every identity of the mesh]:value:' \
        '--otlp-endpoint[where sidecars send spans; without it they export none]:value:' ;;
      uninject) _arguments '--help[explain it]' \
        '--file[YAML or JSON to read, - for standard input; also -f FILE]:value:_files' ;;
      injector) _arguments '--help[explain it]' \
        '--image[image of the sidecar and its init container; required]:value:' \
        '--image-pull-policy[of both containers]:value:(Always IfNotPresent Never)' \
        '--listen[where the API server asks (HTTPS)]:value:' \
        '--health[/healthz/ready and /healthz/live (HTTP)]:value:' \
        '--otlp-endpoint[where sidecars send spans by default; without it they export none]:value:' \
        '--propagation[the preload for Node.js where neither pod nor namespace says]:value:(off node)' \
        '--identity[authority of identities; its roots are in ConfigMap tracecar-trust-bundle]:value:' \
        '--trust-domain[of every identity of the mesh]:value:' \
        '--namespace[namespace of the injector\: Secret and Service]:value:' \
        '*--host[name or address for the certificate, beside the Service'\''s]:value:' \
        '--service-account[token and ca.crt for the API server]:value:_files' \
        '--leave-seconds[after SIGTERM\: reviews are still answered this long]:value:' \
        '--log-level[lines below it are not written]:value:(debug info warn error)' ;;
      init) _arguments '--help[explain it]' \
        '--skip-inbound-ports[ports of the pod that callers reach directly\: 22,9000-9010]:value:' \
        '--skip-outbound-ports[ports elsewhere that the pod reaches directly]:value:' \
        '--skip-outbound-cidrs[addresses that the pod reaches directly\: 10.0.0.0/8,fd00\:\:/8]:value:' \
        '--proxy-uid[user of `tracecar proxy`, whose connections are not captured]:value:' \
        '--install-preload[also copies the propagation preload for Node.js into this folder]:value:_files' \
        '--await-proxy[also waits until the sidecar of this pod takes traffic, at most so long]:value:' \
        '--backend[what loads the rules; rules that the other one loaded are taken out]:value:(nft iptables)' \
        '--print[prints the rules and changes nothing]' \
        '--check[compares the loaded rules with these flags, a line for each difference; status 1]' \
        '--remove[takes out the rules that any backend has loaded]' ;;
      version) _arguments '--help[explain it]' ;;
      help) _arguments '--help[explain it]' \
        '1:word:(proxy run validate check view explain ca install uninstall inject uninject injector init version completion)' ;;
      completion) _arguments '--help[explain it]' \
        '1:word:(bash zsh fish)' ;;
    esac
  fi
}
if [[ $funcstack[1] == _tracecar ]]; then _tracecar "$@"; else compdef _tracecar tracecar; fi
