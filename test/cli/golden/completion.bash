# bash completion of tracecar: source <(tracecar completion bash)
_tracecar() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words="" files=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "proxy run validate check view explain ca install uninstall inject uninject injector init version help completion --help --version" -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
    proxy) words="--config --namespace --labels --root-namespace --capture --inbound --outbound --admin --health --metrics --app-metrics --merged-metrics --drain-seconds --warm-up-ms --log-level --access-log --record-ring --identity --token --trust-bundle --trust-domain --service-account --identity-dir --forward-client-cert --secrets --trusted-hops --proxy-protocol --spans --keep-errors --keep-slow --slow-ms --keep --history --peer --edge --edge-response-header --debug-token --correlation-headers --untraced-path --zone --help" ;;
    run) words="--config --namespace --labels --identity --token --trust-bundle --trust-domain --service-account --service-name --address --propagation --skip-inbound-ports --skip-outbound-ports --skip-outbound-cidrs --quiet --help" ;;
    validate) words="--namespace --labels --root-namespace --capture --output --help" files=1 ;;
    check) words="--strict --config --root-namespace --output --help" files=1 ;;
    view) words="--otlp --grpc --query --store-bytes --store --import --export --trace --json --width --no-color --help" ;;
    explain) words="--trace --query --json --width --no-color --help" ;;
    ca) words="--state --listen --metrics --trust-domain --authority-namespace --leaf-seconds --kubernetes --issuer-cert --issuer-key --roots --namespace --service-account --hours --gone --output --log-level --help serve rotate status token bundle" ;;
    install) words="--image --image-pull-policy --replicas --viewer --propagation --identity --trust-domain --issuer-secret --otlp-endpoint --help" ;;
    uninstall) words="--help" ;;
    inject) words="--file --image --image-pull-policy --namespace --propagation --identity --trust-bundle --trust-domain --otlp-endpoint --help" ;;
    uninject) words="--file --help" ;;
    injector) words="--image --image-pull-policy --listen --health --otlp-endpoint --propagation --identity --trust-domain --namespace --host --service-account --leave-seconds --log-level --help" ;;
    init) words="--skip-inbound-ports --skip-outbound-ports --skip-outbound-cidrs --proxy-uid --install-preload --await-proxy --backend --print --check --remove --help" ;;
    version) words="--help" ;;
    help) words="--help proxy run validate check view explain ca install uninstall inject uninject injector init version completion" ;;
    completion) words="--help bash zsh fish" ;;
  esac
  case $before in
    --config) words="" files=1 ;;
    --namespace) words="" words="" ;;
    --labels) words="" words="" ;;
    --root-namespace) words="" words="" ;;
    --capture) words="" words="none redirect" ;;
    --inbound) words="" words="" ;;
    --outbound) words="" words="" ;;
    --admin) words="" words="" ;;
    --health) words="" words="" ;;
    --metrics) words="" words="" ;;
    --app-metrics) words="" words="" ;;
    --merged-metrics) words="" words="" ;;
    --drain-seconds) words="" words="" ;;
    --warm-up-ms) words="" words="" ;;
    --log-level) words="" words="debug info warn error" ;;
    --access-log) words="" words="off json" ;;
    --record-ring) words="" words="" ;;
    --identity) words="" words="" ;;
    --token) words="" files=1 ;;
    --trust-bundle) words="" files=1 ;;
    --trust-domain) words="" words="" ;;
    --service-account) words="" files=1 ;;
    --identity-dir) words="" files=1 ;;
    --forward-client-cert) words="" words="append set off" ;;
    --secrets) words="" files=1 ;;
    --trusted-hops) words="" words="" ;;
    --proxy-protocol) words="" words="off on" ;;
    --spans) words="" words="both server client" ;;
    --keep-errors) words="" words="" ;;
    --keep-slow) words="" words="" ;;
    --slow-ms) words="" words="" ;;
    --keep) words="" words="4xx" ;;
    --history) words="" words="" ;;
    --peer) words="" words="" ;;
    --edge) words="" words="honour ignore link" ;;
    --edge-response-header) words="" words="off trace traceparent" ;;
    --debug-token) words="" words="" ;;
    --correlation-headers) words="" words="" ;;
    --untraced-path) words="" words="" ;;
    --zone) words="" words="" ;;
    --service-name) words="" words="" ;;
    --address) words="" words="" ;;
    --propagation) words="" words="off node" ;;
    --skip-inbound-ports) words="" words="" ;;
    --skip-outbound-ports) words="" words="" ;;
    --skip-outbound-cidrs) words="" words="" ;;
    --output) words="" words="text json" ;;
    --otlp) words="" words="" ;;
    --grpc) words="" words="" ;;
    --query) words="" words="" ;;
    --store-bytes) words="" words="" ;;
    --store) words="" files=1 ;;
    --import) words="" files=1 ;;
    --export) words="" files=1 ;;
    --trace) words="" words="" ;;
    --width) words="" words="" ;;
    --state) words="" files=1 ;;
    --listen) words="" words="" ;;
    --authority-namespace) words="" words="" ;;
    --leaf-seconds) words="" words="" ;;
    --issuer-cert) words="" files=1 ;;
    --issuer-key) words="" files=1 ;;
    --roots) words="" files=1 ;;
    --hours) words="" words="" ;;
    --gone) words="" words="" ;;
    --image) words="" words="" ;;
    --image-pull-policy) words="" words="Always IfNotPresent Never" ;;
    --replicas) words="" words="" ;;
    --issuer-secret) words="" words="" ;;
    --otlp-endpoint) words="" words="" ;;
    --file) words="" files=1 ;;
    --host) words="" words="" ;;
    --leave-seconds) words="" words="" ;;
    --proxy-uid) words="" words="" ;;
    --install-preload) words="" files=1 ;;
    --await-proxy) words="" words="" ;;
    --backend) words="" words="nft iptables" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ -n $files && $word != -* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _tracecar tracecar
