# fish completion of tracecar
complete -c tracecar -f
complete -c tracecar -n __fish_use_subcommand -a proxy -d 'run a sidecar beside a service'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l config -d 'YAML file or folder of resources; watched. Give it again for more.' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l namespace -d 'of this workload, of short host names, and of documents that name none' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l labels -d 'labels of this workload: they choose its Sidecar resource' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l root-namespace -d 'whose policies without a selector hold for all namespaces' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l capture -d 'redirect: takes the pod\'s connections as `tracecar init` redirects them' -x -a 'none redirect'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l inbound -d 'port for captured connections to the pod' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l outbound -d 'port for captured connections from the pod; loopback only' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l admin -d 'admin port; loopback only' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l health -d 'health port: /healthz/ready, /healthz/live, probes, /drain' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l metrics -d 'metrics port: /metrics for Prometheus' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l app-metrics -d 'the application\'s page of metrics, to be merged with ours' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l merged-metrics -d 'port of both, for scrapers that have no mTLS; with --app-metrics' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l drain-seconds -d 'time that work under way may take after SIGTERM' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l warm-up-ms -d 'at most this long the hot path is warmed before ready; 0 switches it off' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l log-level -d 'least level that is written to stderr' -x -a 'debug info warn error'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l access-log -d 'one JSON line a request on stdout' -x -a 'off json'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l record-ring -d 'memory for records and as much for their texts; 64k to 256m' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l identity -d 'authority that signs the certificates of mutual TLS, as `tracecar ca` is one; port 15010' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l token -d 'proves to the authority who this workload is; read for each call' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l trust-bundle -d 'PEM roots of the trust domain; watched. The variable may hold the PEM text itself' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l trust-domain -d 'of every identity of the mesh' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l service-account -d 'refuses certificates for other accounts; without it the first one decides' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l identity-dir -d 'memory-backed folder where key and certificate are kept for a restart' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l forward-client-cert -d 'x-forwarded-client-cert names callers; set: the last one; off: none' -x -a 'append set off'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l secrets -d 'where Secrets are mounted: of `shop` DIR/shop/tls.crt and tls.key' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l trusted-hops -d 'proxies before a gateway whose X-Forwarded-For is believed' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l proxy-protocol -d 'on: connections to a gateway begin with a PROXY header, version 1 or 2' -x -a 'off on'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l spans -d 'kinds of spans that are exported; all are counted and logged' -x -a 'both server client'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l keep-errors -d 'traces kept because of an error, a second and route, at any sampler; 0: none' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l keep-slow -d 'likewise because of a slow request' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l slow-ms -d 'slow from here on; without it, and beside it, from 3 times the route\'s own p99' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l keep -d 'kept as an error beside 5xx and failures' -x -a '4xx'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l history -d 'memory for 30 s of records that make kept traces whole; 256k to 64m, or 0' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l peer -d 'where sidecars may be that ask to keep a trace, or none; may be repeated' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l edge -d 'for requests from outside: traces go on, are dropped, or linked to' -x -a 'honour ignore link'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l edge-response-header -d 'with --edge: server-timing says the trace\'s id' -x -a 'off trace traceparent'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l debug-token -d 'traces requests with x-tracecar-debug: TOKEN; a secret, better as a variable' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l correlation-headers -d 'fields that join requests as x-request-id does: x-order-id,x-job' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l untraced-path -d 'no spans for paths that begin so, as /healthz; may be repeated' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l zone -d 'where this workload runs, for bytes by zone' -x
complete -c tracecar -n __fish_use_subcommand -a run -d 'run a command with a sidecar, without Kubernetes'
complete -c tracecar -n '__fish_seen_subcommand_from run' -l config -d 'YAML file or folder of resources; watched. Give it again for more.' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from run' -l namespace -d 'of this workload, of short host names, and of documents that name none' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l labels -d 'labels of this workload: they choose its Sidecar resource' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l identity -d 'authority that signs the certificates of mutual TLS, as `tracecar ca` is one; port 15010' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l token -d 'proves to the authority who this workload is; read for each call' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from run' -l trust-bundle -d 'PEM roots of the trust domain; watched. The variable may hold the PEM text itself' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from run' -l trust-domain -d 'of every identity of the mesh' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l service-account -d 'refuses certificates for other accounts; without it the first one decides' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l service-name -d 'name of its spans' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l address -d 'address that COMMAND has, for others on this machine' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l propagation -d 'node: NODE_OPTIONS gets the preload that joins the spans of Node.js applications' -x -a 'node off'
complete -c tracecar -n '__fish_seen_subcommand_from run' -l skip-inbound-ports -d 'ports of COMMAND that callers reach directly: 22,9000-9010' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l skip-outbound-ports -d 'ports elsewhere that COMMAND reaches directly' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l skip-outbound-cidrs -d 'addresses that COMMAND reaches directly: 10.0.0.0/8' -x
complete -c tracecar -n '__fish_seen_subcommand_from run' -l quiet -d 'prints no line of its own while all is well'
complete -c tracecar -n __fish_use_subcommand -a validate -d 'check configuration and name every mistake at once'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l namespace -d 'of the workload, with --labels; also of documents that name none' -x
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l labels -d 'check as the workload with these labels sees it; without, as every Sidecar does' -x
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l root-namespace -d 'whose policies without a selector hold for all namespaces' -x
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l capture -d 'redirect: check as an injected pod sees it, which needs no Sidecar' -x -a 'none redirect'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l output -d 'for people, or one JSON document for tools' -x -a 'text json'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -F
complete -c tracecar -n __fish_use_subcommand -a check -d 'say who would break if only mutual TLS were taken'
complete -c tracecar -n '__fish_seen_subcommand_from check' -l strict -d 'who would be refused by a PeerAuthentication that says STRICT'
complete -c tracecar -n '__fish_seen_subcommand_from check' -l config -d 'resources as they are to be: STRICT ports, and names of callers' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from check' -l root-namespace -d 'whose PeerAuthentication without a selector is of all namespaces' -x
complete -c tracecar -n '__fish_seen_subcommand_from check' -l output -d 'for people, or one JSON document for tools' -x -a 'text json'
complete -c tracecar -n '__fish_seen_subcommand_from check' -F
complete -c tracecar -n __fish_use_subcommand -a view -d 'receive traces, keep them, show them'
complete -c tracecar -n '__fish_seen_subcommand_from view' -l otlp -d 'where spans come in: OTLP over HTTP, JSON or protobuf' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l grpc -d 'the same: OTLP over gRPC; none: nowhere' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l query -d 'page and Jaeger\'s query API v3; with --trace where to ask, also a URL' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l store-bytes -d 'memory for traces, or file and memory; the oldest go first' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l store -d 'keep traces in this SQLite file, over restarts' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from view' -l import -d 'begin with the traces of this file: OTLP JSON, one document or one a line' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from view' -l export -d 'with --trace: write it to this file as a line of OTLP JSON; - is stdout' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from view' -l trace -d 'print this trace as a waterfall and end; Jaeger may be asked too' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l json -d 'with --trace: OTLP JSON instead of a picture'
complete -c tracecar -n '__fish_seen_subcommand_from view' -l width -d 'with --trace: columns of the picture, 60 to 500' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l no-color -d 'with --trace: no colors (so does NO_COLOR)'
complete -c tracecar -n __fish_use_subcommand -a explain -d 'say why a trace went as it did, hop by hop'
complete -c tracecar -n '__fish_seen_subcommand_from explain' -l trace -d 'the trace: 32 hex digits, as a response, a log line or the page has them' -x
complete -c tracecar -n '__fish_seen_subcommand_from explain' -l query -d 'where to ask: a viewer, or Jaeger 2; also a URL' -x
complete -c tracecar -n '__fish_seen_subcommand_from explain' -l json -d 'one JSON object for tools instead of text'
complete -c tracecar -n '__fish_seen_subcommand_from explain' -l width -d 'columns of the text, 60 to 500' -x
complete -c tracecar -n '__fish_seen_subcommand_from explain' -l no-color -d 'no colors (so does NO_COLOR)'
complete -c tracecar -n __fish_use_subcommand -a ca -d 'sign identities: the authority of a mesh'
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l state -d 'folder of roots, issuer, tokens and reports; made if it is not there, keys in it are 0600' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l listen -d 'where sidecars ask for certificates (TLS)' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l metrics -d 'metrics of the authority, plain HTTP' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l trust-domain -d 'whose identities it signs; cannot be changed later' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l authority-namespace -d 'its own: sidecars expect spiffe://TRUST-DOMAIN/ns/NAME/sa/tracecar-ca' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l leaf-seconds -d 'how long certificates of sidecars live; at most a day' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l kubernetes -d 'in a pod: tokens of service accounts, by TokenReview; state in a Secret'
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l issuer-cert -d 'an outside authority\'s issuer (PEM, with what is between it and its root), read live' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l issuer-key -d 'the key of --issuer-cert (PEM)' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l roots -d 'the roots of --issuer-cert (PEM), all that sidecars are to trust' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l namespace -d 'token: the namespace of the workload' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l service-account -d 'token: the service account of the workload' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l hours -d 'token: how long it is good, at most 8760' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l gone -d 'rotate: a sidecar, or all of a SPIFFE id, that `status` lists and that will not come back' -x
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l output -d 'status: for people, or one JSON document for tools' -x -a 'text json'
complete -c tracecar -n '__fish_seen_subcommand_from ca' -l log-level -d 'serve: lines below it are not written; `info` has one line a certificate' -x -a 'debug info warn error'
complete -c tracecar -n '__fish_seen_subcommand_from ca' -a 'serve rotate status token bundle'
complete -c tracecar -n __fish_use_subcommand -a install -d 'print the manifests that bring Tracecar into a cluster'
complete -c tracecar -n '__fish_seen_subcommand_from install' -l image -d 'image of all programs, built from the Dockerfile; required' -x
complete -c tracecar -n '__fish_seen_subcommand_from install' -l image-pull-policy -d 'of the injector, the viewer and every sidecar' -x -a 'Always IfNotPresent Never'
complete -c tracecar -n '__fish_seen_subcommand_from install' -l replicas -d 'of the injector; pods of annotated namespaces wait while none is ready' -x
complete -c tracecar -n '__fish_seen_subcommand_from install' -l viewer -d 'also `tracecar view` as a Service: traces in memory, page on 16686'
complete -c tracecar -n '__fish_seen_subcommand_from install' -l propagation -d 'the preload for Node.js where neither pod nor namespace says' -x -a 'off node'
complete -c tracecar -n '__fish_seen_subcommand_from install' -l identity -d 'on: an authority gives every sidecar an identity, and sidecars speak mutual TLS' -x -a 'on off'
complete -c tracecar -n '__fish_seen_subcommand_from install' -l trust-domain -d 'of every identity; cannot be changed later' -x
complete -c tracecar -n '__fish_seen_subcommand_from install' -l issuer-secret -d 'Secret of tracecar-system with an issuer from outside, as of cert-manager' -x
complete -c tracecar -n '__fish_seen_subcommand_from install' -l otlp-endpoint -d 'where sidecars and injector send spans (OTLP over HTTP)' -x
complete -c tracecar -n __fish_use_subcommand -a uninstall -d 'print what kubectl is to delete'
complete -c tracecar -n __fish_use_subcommand -a inject -d 'put sidecars into manifests, without a cluster'
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l file -d 'YAML or JSON to read, - for standard input; also -f FILE' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l image -d 'image of the sidecar and of its init container' -x
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l image-pull-policy -d 'of both containers' -x -a 'Always IfNotPresent Never'
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l namespace -d 'namespace of documents that name none' -x
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l propagation -d 'trace propagation where a pod does not say tracecar.dev/propagation' -x -a 'node off'
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l identity -d 'authority of identities; needs --trust-bundle' -x
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l trust-bundle -d 'PEM roots of the mesh; without it pods get no identity' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l trust-domain -d 'of every identity of the mesh' -x
complete -c tracecar -n '__fish_seen_subcommand_from inject' -l otlp-endpoint -d 'where sidecars send spans; without it they export none' -x
complete -c tracecar -n __fish_use_subcommand -a uninject -d 'take sidecars out of manifests'
complete -c tracecar -n '__fish_seen_subcommand_from uninject' -l file -d 'YAML or JSON to read, - for standard input; also -f FILE' -r -F
complete -c tracecar -n __fish_use_subcommand -a injector -d 'run the admission webhook (in a cluster)'
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l image -d 'image of the sidecar and its init container; required' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l image-pull-policy -d 'of both containers' -x -a 'Always IfNotPresent Never'
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l listen -d 'where the API server asks (HTTPS)' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l health -d '/healthz/ready and /healthz/live (HTTP)' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l otlp-endpoint -d 'where sidecars send spans by default; without it they export none' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l propagation -d 'the preload for Node.js where neither pod nor namespace says' -x -a 'off node'
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l identity -d 'authority of identities; its roots are in ConfigMap tracecar-trust-bundle' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l trust-domain -d 'of every identity of the mesh' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l namespace -d 'namespace of the injector: Secret and Service' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l host -d 'name or address for the certificate, beside the Service\'s' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l service-account -d 'token and ca.crt for the API server' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l leave-seconds -d 'after SIGTERM: reviews are still answered this long' -x
complete -c tracecar -n '__fish_seen_subcommand_from injector' -l log-level -d 'lines below it are not written' -x -a 'debug info warn error'
complete -c tracecar -n __fish_use_subcommand -a init -d 'write a pod\'s redirection rules (in a pod)'
complete -c tracecar -n '__fish_seen_subcommand_from init' -l skip-inbound-ports -d 'ports of the pod that callers reach directly: 22,9000-9010' -x
complete -c tracecar -n '__fish_seen_subcommand_from init' -l skip-outbound-ports -d 'ports elsewhere that the pod reaches directly' -x
complete -c tracecar -n '__fish_seen_subcommand_from init' -l skip-outbound-cidrs -d 'addresses that the pod reaches directly: 10.0.0.0/8,fd00::/8' -x
complete -c tracecar -n '__fish_seen_subcommand_from init' -l proxy-uid -d 'user of `tracecar proxy`, whose connections are not captured' -x
complete -c tracecar -n '__fish_seen_subcommand_from init' -l install-preload -d 'also copies the propagation preload for Node.js into this folder' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from init' -l await-proxy -d 'also waits until the sidecar of this pod takes traffic, at most so long' -x
complete -c tracecar -n '__fish_seen_subcommand_from init' -l backend -d 'what loads the rules; rules that the other one loaded are taken out' -x -a 'nft iptables'
complete -c tracecar -n '__fish_seen_subcommand_from init' -l print -d 'prints the rules and changes nothing'
complete -c tracecar -n '__fish_seen_subcommand_from init' -l check -d 'compares the loaded rules with these flags, a line for each difference; status 1'
complete -c tracecar -n '__fish_seen_subcommand_from init' -l remove -d 'takes out the rules that any backend has loaded'
complete -c tracecar -n __fish_use_subcommand -a version -d 'print the version'
complete -c tracecar -n __fish_use_subcommand -a help -d 'explain a command'
complete -c tracecar -n '__fish_seen_subcommand_from help' -a 'proxy run validate check view explain ca install uninstall inject uninject injector init version completion'
complete -c tracecar -n __fish_use_subcommand -a completion -d 'print a completion script for your shell'
complete -c tracecar -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
