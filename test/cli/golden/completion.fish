# fish completion of tracecar
complete -c tracecar -f
complete -c tracecar -n __fish_use_subcommand -a proxy -d 'run a sidecar beside a service'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l config -d 'YAML file or folder of resources; watched. Give it again for more.' -r -F
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l namespace -d 'namespace of this workload: short host names are resolved in it' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l labels -d 'labels of this workload: they choose its Sidecar resource' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l capture -d 'redirect: takes the pod\'s connections as `tracecar init` redirects them' -x -a 'none redirect'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l inbound -d 'port for captured connections to the pod' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l outbound -d 'port for captured connections from the pod; loopback only' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l admin -d 'admin port; loopback only' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l health -d 'health port: /healthz/ready, /healthz/live, probes, /drain' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l metrics -d 'metrics port: /metrics for Prometheus' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l drain-seconds -d 'time that work under way may take after SIGTERM' -x
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l log-level -d 'least level that is written to stderr' -x -a 'debug info warn error'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l access-log -d 'one JSON line a request on stdout' -x -a 'off json'
complete -c tracecar -n '__fish_seen_subcommand_from proxy' -l record-ring -d 'memory for records and as much for their texts; 64k to 256m' -x
complete -c tracecar -n __fish_use_subcommand -a validate -d 'check configuration and name every mistake at once'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l namespace -d 'with --labels: namespace of the workload' -x
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l labels -d 'check as the workload with these labels sees it; without, as every Sidecar does' -x
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l capture -d 'redirect: check as an injected pod sees it, which needs no Sidecar' -x -a 'none redirect'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -l output -d 'for people, or one JSON document for tools' -x -a 'text json'
complete -c tracecar -n '__fish_seen_subcommand_from validate' -F
complete -c tracecar -n __fish_use_subcommand -a view -d 'receive traces, keep them in memory, show them'
complete -c tracecar -n '__fish_seen_subcommand_from view' -l otlp -d 'where spans come in: OTLP over HTTP, JSON' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l query -d 'page and Jaeger\'s query API v3; with --trace where to ask, also a URL' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l store-bytes -d 'memory for traces; the oldest go first' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l trace -d 'print this trace as a waterfall and end; Jaeger may be asked too' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l json -d 'with --trace: OTLP JSON instead of a picture'
complete -c tracecar -n '__fish_seen_subcommand_from view' -l width -d 'with --trace: columns of the picture, 60 to 500' -x
complete -c tracecar -n '__fish_seen_subcommand_from view' -l no-color -d 'with --trace: no colors (so does NO_COLOR)'
complete -c tracecar -n __fish_use_subcommand -a version -d 'print the version'
complete -c tracecar -n __fish_use_subcommand -a help -d 'explain a command'
complete -c tracecar -n '__fish_seen_subcommand_from help' -a 'proxy validate view version completion'
complete -c tracecar -n __fish_use_subcommand -a completion -d 'print a completion script for your shell'
complete -c tracecar -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'
