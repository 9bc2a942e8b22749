# bash completion of tracecar: source <(tracecar completion bash)
_tracecar() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} words="" files=""
  COMPREPLY=()
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "proxy validate view version help completion --help --version" -- "$word"))
    return
  fi
  case ${COMP_WORDS[1]} in
    proxy) words="--config --namespace --labels --capture --inbound --outbound --admin --health --metrics --drain-seconds --log-level --access-log --record-ring --help" ;;
    validate) words="--namespace --labels --capture --output --help" files=1 ;;
    view) words="--otlp --query --store-bytes --trace --json --width --no-color --help" ;;
    version) words="--help" ;;
    help) words="--help proxy validate view version completion" ;;
    completion) words="--help bash zsh fish" ;;
  esac
  case $before in
    --config) words="" files=1 ;;
    --namespace) words="" words="" ;;
    --labels) words="" words="" ;;
    --capture) words="" words="none redirect" ;;
    --inbound) words="" words="" ;;
    --outbound) words="" words="" ;;
    --admin) words="" words="" ;;
    --health) words="" words="" ;;
    --metrics) words="" words="" ;;
    --drain-seconds) words="" words="" ;;
    --log-level) words="" words="debug info warn error" ;;
    --access-log) words="" words="off json" ;;
    --record-ring) words="" words="" ;;
    --output) words="" words="text json" ;;
    --otlp) words="" words="" ;;
    --query) words="" words="" ;;
    --store-bytes) words="" words="" ;;
    --trace) words="" words="" ;;
    --width) words="" words="" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [[ -n $files && $word != -* ]]; then COMPREPLY+=($(compgen -f -- "$word")); fi
}
complete -o filenames -F _tracecar tracecar
