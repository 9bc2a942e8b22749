/**
 * The command line and the configuration file of each component. Nothing is started here.
 *
 * What is unusual has its reason beside it: the machine may be a container without all capabilities,
 * with cgroups of version 1, and other clusters run beside this one.
 */

import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { goProgram } from '../go-peers.ts';
import type { Place } from './place.ts';

export const nodeAddress = '10.99.0.1';
export const pauseImage = 'localhost/pause:1';

export function containerdCommand(place: Place): string[] {
  mkdirSync(place.path('cni'));
  writeFileSync(
    place.path('cni/10-bridge.conflist'),
    JSON.stringify({
      cniVersion: '0.4.0',
      name: place.name,
      plugins: [
        {
          type: 'bridge',
          bridge: 'cni0',
          isGateway: true,
          hairpinMode: true,
          ipam: {
            type: 'host-local',
            dataDir: place.path('cni-addresses'),
            ranges: [[{ subnet: '10.244.0.0/24' }]],
            routes: [{ dst: '0.0.0.0/0' }],
          },
        },
        { type: 'portmap', capabilities: { portMappings: true } },
      ],
    }),
  );
  writeFileSync(
    place.path('containerd.toml'),
    `version = 2
root = "${place.path('containerd/root')}"
state = "${place.path('containerd/state')}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]
[grpc]
  address = "${place.path('containerd.sock')}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${place.path('containerd/opt')}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${pauseImage}"
  # Without CAP_SYS_RESOURCE no score may be lowered.
  restrict_oom_score_adj = true
  disable_apparmor = true
  # Where the clean-up finds them; the default is a folder that all runtimes share.
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${pluginFolder()}"
    conf_dir = "${place.path('cni')}"
`,
  );
  return ['containerd', '-c', place.path('containerd.toml')];
}

/** Debian and Fedora keep the plugins in different folders. */
export function pluginFolder(): string {
  const folders = ['/usr/lib/cni', '/usr/libexec/cni', '/opt/cni/bin'];
  return folders.find((folder) => existsSync(`${folder}/bridge`)) ?? '/usr/lib/cni';
}

export function etcdCommand(place: Place): string[] {
  return [
    goProgram('etcd'),
    `--data-dir=${place.path('etcd')}`,
    '--listen-client-urls=http://127.0.0.1:2379',
    '--advertise-client-urls=http://127.0.0.1:2379',
    '--listen-peer-urls=http://127.0.0.1:2380',
    // Nothing here outlives the test.
    '--unsafe-no-fsync=true',
    '--log-level=warn',
  ];
}

export function apiServerCommand(place: Place, withTracing: boolean): string[] {
  const file = (name: string): string => place.path(name);
  const tracing = {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'TracingConfiguration',
    endpoint: '127.0.0.1:4317',
    samplingRatePerMillion: 1_000_000,
  };
  writeFileSync(file('tracing.yaml'), JSON.stringify(tracing));
  return [
    goProgram('kube-apiserver'),
    '--etcd-servers=http://127.0.0.1:2379',
    '--bind-address=0.0.0.0',
    `--advertise-address=${nodeAddress}`,
    '--secure-port=6443',
    `--cert-dir=${file('api-pki')}`,
    `--tls-cert-file=${file('api.crt')}`,
    `--tls-private-key-file=${file('api.key')}`,
    `--client-ca-file=${file('ca.crt')}`,
    '--authorization-mode=Node,RBAC',
    '--enable-admission-plugins=NodeRestriction',
    '--service-cluster-ip-range=10.0.0.0/24',
    '--allow-privileged=true',
    '--service-account-issuer=https://kubernetes.default.svc',
    `--service-account-key-file=${file('sa.crt')}`,
    `--service-account-signing-key-file=${file('sa.key')}`,
    `--kubelet-client-certificate=${file('admin.crt')}`,
    `--kubelet-client-key=${file('admin.key')}`,
    `--kubelet-certificate-authority=${file('ca.crt')}`,
    '--kubelet-preferred-address-types=InternalIP',
    ...(withTracing ? [`--tracing-config-file=${file('tracing.yaml')}`] : []),
    '--shutdown-delay-duration=0s',
  ];
}

export function controllerCommand(place: Place): string[] {
  return [
    goProgram('kube-controller-manager'),
    // One user for all controllers: an account for each of forty takes five seconds to make.
    `--kubeconfig=${place.path('admin.kubeconfig')}`,
    '--kube-api-qps=500',
    '--kube-api-burst=500',
    `--service-account-private-key-file=${place.path('sa.key')}`,
    `--root-ca-file=${place.path('ca.crt')}`,
    `--cluster-signing-cert-file=${place.path('ca.crt')}`,
    `--cluster-signing-key-file=${place.path('ca.key')}`,
    `--cert-dir=${place.path('controller-pki')}`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
  ];
}

export function schedulerCommand(place: Place): string[] {
  return [
    goProgram('kube-scheduler'),
    `--kubeconfig=${place.path('scheduler.kubeconfig')}`,
    `--cert-dir=${place.path('scheduler-pki')}`,
    '--bind-address=127.0.0.1',
    '--leader-elect=false',
  ];
}

export function proxyCommand(place: Place): string[] {
  return [
    goProgram('kube-proxy'),
    `--kubeconfig=${place.path('proxy.kubeconfig')}`,
    '--proxy-mode=nftables',
    '--hostname-override=node-1',
    '--cluster-cidr=10.244.0.0/16',
    // The limit is the machine's, not the namespace's.
    '--conntrack-max-per-core=0',
  ];
}

export function kubeletCommand(place: Place): string[] {
  const configuration = {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: nodeAddress,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: place.path('ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: place.path('node.crt'),
    tlsPrivateKeyFile: place.path('node.key'),
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${place.name}`,
    failCgroupV1: false,
    failSwapOn: false,
    // Tolerates limits and kernel settings that may not be changed here.
    featureGates: { KubeletInUserNamespace: true },
    containerRuntimeEndpoint: `unix://${place.path('containerd.sock')}`,
    clusterDNS: [nodeAddress],
    clusterDomain: 'cluster.local',
    resolvConf: place.path('resolv.conf'),
    podLogsDir: place.path('pod-logs'),
    // An edited ConfigMap reaches its volume at the next sync; the default is a minute.
    syncFrequency: '2s',
    localStorageCapacityIsolation: false,
    evictionHard: {
      'memory.available': '1Mi',
      'nodefs.available': '0%',
      'imagefs.available': '0%',
    },
  };
  writeFileSync(place.path('kubelet.yaml'), JSON.stringify(configuration, null, 2));
  return [
    goProgram('kubelet'),
    `--config=${place.path('kubelet.yaml')}`,
    `--kubeconfig=${place.path('node.kubeconfig')}`,
    '--hostname-override=node-1',
    `--node-ip=${nodeAddress}`,
    `--root-dir=${place.path('kubelet')}`,
    `--cert-dir=${place.path('kubelet-pki')}`,
  ];
}

export function dnsCommand(place: Place): string[] {
  writeFileSync(place.path('resolv.conf'), 'nameserver 127.0.0.1\n');
  writeFileSync(
    place.path('Corefile'),
    `.:53 {
  bind ${nodeAddress}
  errors
  kubernetes cluster.local {
    kubeconfig ${place.path('admin.kubeconfig')} test
  }
  cache 2
}
`,
  );
  return [goProgram('coredns'), '-conf', place.path('Corefile')];
}
