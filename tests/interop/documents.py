"""Documents of other chaos tools, as their users write them: name -> (text, what must stand in ours)."""

from __future__ import annotations

from typing import Any

import yaml

Wanted = tuple[str, ...]


def _mesh(kind: str, spec: str, name: str = "one") -> str:
    body = "\n".join(f"  {line}" for line in spec.strip().splitlines())
    head = f"apiVersion: chaos-mesh.org/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: shop}}\n"
    return f"{head}spec:\n{body}\n"


CART = "mode: all\nselector: {namespaces: [shop], labelSelectors: {app: cart}}\n"
PAY = "target: {mode: all, selector: {namespaces: [shop], labelSelectors: {app: pay}}}\n"

CHAOS_MESH: dict[str, tuple[str, Wanted]] = {
    "unknown-kind": (
        _mesh("QuantumChaos", "mode: all\n"),
        ("fault: noop", "The QuantumChaos was left out: its kind is not known here"),
    ),
    "pod-kill-at-once": (_mesh("PodChaos", CART + "action: pod-kill\n"), ("fault: pod-kill", "force: true")),
    "pod-kill": (
        _mesh("PodChaos", CART + "action: pod-kill\ngracePeriod: 5\n"),
        ("fault: pod-kill", "grace: 5s", "take: all", "selector: app=cart"),
    ),
    "pod-failure": (
        _mesh(
            "PodChaos",
            "mode: fixed\nvalue: '2'\naction: pod-failure\nduration: 90s\nselector: {labelSelectors: {a: b}}",
        ),
        ("fault: pod-failure", "for: 90s", "take: 2"),
    ),
    "container-kill": (
        _mesh("PodChaos", CART + "action: container-kill\ncontainerNames: [main, sidecar]\n"),
        ("fault: container-kill", "container: main", "left out: sidecar"),
    ),
    "delay": (
        _mesh(
            "NetworkChaos",
            CART
            + "action: delay\nduration: 2m\ndelay: {latency: 90ms, jitter: 10ms, correlation: '25'}\ndevice: eth1\n",
        ),
        (
            "fault: network-latency",
            "delay: 90ms",
            "jitter: 10ms",
            "`correlation` was left out",
            '`spec.device` ("eth1")',
        ),
    ),
    "delay-to": (
        _mesh("NetworkChaos", CART + PAY + "action: delay\nduration: 1m30s\ndelay: {latency: 1s}\ndirection: to"),
        ("service: cart", "to: pay", "for: 90s"),
    ),
    "loss-outside": (
        _mesh(
            "NetworkChaos", CART + "action: loss\nduration: 30s\nloss: {loss: '40'}\nexternalTargets: [api.example.com]"
        ),
        ("fault: network-loss", "share: 40%", "host: api.example.com"),
    ),
    "partition": (
        _mesh("NetworkChaos", CART + "action: partition\nduration: 30s\ndirection: both"),
        ("fault: network-partition", "direction: both"),
    ),
    "bandwidth": (
        _mesh(
            "NetworkChaos",
            CART + "action: bandwidth\nduration: 30s\nbandwidth: {rate: 1mbps, limit: 20971520, buffer: 10000}",
        ),
        ("fault: network-bandwidth", "rate: 1000kB/s", "`bandwidth.limit` was left out"),
    ),
    "netem": (
        _mesh("NetworkChaos", CART + "action: netem\nduration: 30s\nloss: {loss: '5'}\nduplicate: {duplicate: '7'}"),
        ("together:", "fault: network-loss", "fault: network-duplicate", "sameAs: one"),
    ),
    "corrupt": (
        _mesh("NetworkChaos", CART + "action: corrupt\ncorrupt: {corrupt: '12'}"),
        ("share: 12%", "had no duration"),
    ),
    "reorder": (
        _mesh(
            "NetworkChaos",
            CART + "action: delay\nduration: 9s\ndelay: {latency: 9ms, reorder: {reorder: '20', gap: 3}}",
        ),
        ("fault: network-reorder", "share: 20%", "`reorder.gap` was left out"),
    ),
    "stress": (
        _mesh(
            "StressChaos",
            CART
            + "duration: 1m\nstressors: {cpu: {workers: 2, load: 50, options: [x]}, memory: {workers: 3, size: 512MB}}",
        ),
        ("cores: 1", "size: 512MB", "memory.workers: 3", "stressors.cpu.options"),
    ),
    "stress-share": (
        _mesh("StressChaos", CART + "duration: 1m\nstressors: {memory: {workers: 1, size: 50%}}"),
        ("size: 256MiB", "The size was 50% of the memory"),
    ),
    "http-abort": (
        _mesh("HTTPChaos", CART + "duration: 1m\ntarget: Request\nport: 80\nmethod: GET\npath: /api/*\nabort: true"),
        ("fault: http-fault", "abort: true", "port: 80", "- GET", "say-which-caller"),
    ),
    "http-status": (
        _mesh("HTTPChaos", CART + "duration: 1m\ntarget: Response\nport: 80\npath: '*'\nreplace: {code: 503}"),
        ("fault: http-fault", "status: 503"),
    ),
    "http-patch": (
        _mesh("HTTPChaos", CART + "duration: 1m\ntarget: Response\nport: 80\npatch: {headers: [[A, b]]}"),
        ("fault: chaos-mesh", "kind: HTTPChaos", "must be in the cluster"),
    ),
    "dns": (
        _mesh("DNSChaos", CART + "duration: 1m\naction: random\npatterns: [pay.*, 'example.?om']"),
        ("fault: dns-fault", "answer: wrong", "- pay.*", "192.0.2.1, which is nobody's"),
    ),
    "io": (
        _mesh(
            "IOChaos",
            CART + "duration: 1m\naction: latency\nvolumePath: /data\npath: /data/**\ndelay: 100ms\npercent: 50",
        ),
        ("fault: chaos-mesh", "kind: IOChaos", "volumePath: /data", "single file operations"),
    ),
    "time": (
        _mesh("TimeChaos", CART + "duration: 1m\ntimeOffset: -10m"),
        ("fault: chaos-mesh", "timeOffset: -10m", "impossible for chaosrunner"),
    ),
    "aws": (_mesh("AWSChaos", "action: ec2-stop\nec2Instance: i-1"), ("fault: noop", "The AWSChaos was left out")),
    "selectors": (
        _mesh(
            "PodChaos",
            "mode: random-max-percent\nvalue: '40'\naction: pod-failure\nduration: 1m\nselector:\n"
            "  namespaces: [shop, other]\n  expressionSelectors: [{key: tier, operator: In, values: [web, api]}]\n"
            "  fieldSelectors: {spec.serviceAccountName: cart}\n  annotationSelectors: {a: b}\n  nodes: [n1, n2]\n"
            "  podPhaseSelectors: [Running]\n",
        ),
        (
            "selector: tier in (web,api)",
            "fields: spec.serviceAccountName=cart",
            "take: 40%",
            "annotationSelectors",
            "node: n1",
        ),
    ),
    "names": (
        _mesh("PodChaos", "mode: all\naction: pod-failure\nduration: 1m\nselector: {pods: {shop: [cart-0, cart-1]}}"),
        ("- cart-0", "- cart-1"),
    ),
    "no-selector": (
        _mesh("PodChaos", "mode: one\naction: pod-failure\nduration: 1m\nselector: {namespaces: [shop]}"),
        ("say=which-pods", "without labels"),
    ),
    "schedule": (
        _mesh(
            "Schedule",
            "schedule: '*/5 * * * *'\nconcurrencyPolicy: Forbid\nhistoryLimit: 2\ntype: StressChaos\nstressChaos:\n"
            "  mode: one\n  duration: 1m\n  selector: {labelSelectors: {app: cart}}\n"
            "  stressors: {cpu: {workers: 1}}\n",
        ),
        ("fault: cpu-stress", "by the schedule `*/5 * * * *`", "spec.concurrencyPolicy", "spec.historyLimit"),
    ),
    "workflow": (
        _mesh(
            "Workflow",
            """
entry: all
templates:
  - {name: all, templateType: Serial, deadline: 10m, children: [kill, pause, both, ask, task, nowhere]}
  - name: kill
    templateType: PodChaos
    deadline: 40s
    podChaos: {action: pod-failure, mode: one, selector: {labelSelectors: {app: cart}}}
  - {name: pause, templateType: Suspend, deadline: 15s}
  - {name: both, templateType: Parallel, children: [kill, later]}
  - {name: later, templateType: Serial, children: [pause, stress]}
  - name: stress
    templateType: StressChaos
    deadline: 20s
    stressChaos: {mode: one, selector: {labelSelectors: {app: pay}}, stressors: {cpu: {workers: 1}}}
  - name: ask
    templateType: StatusCheck
    statusCheck:
      mode: Continuous
      type: HTTP
      intervalSeconds: 3
      timeoutSeconds: 2
      http: {url: 'http://cart.shop/', method: GET, criteria: {statusCode: 200-299}}
  - {name: task, templateType: Task, task: {container: {name: c, image: busybox}}}
  - {name: lost, templateType: Suspend, deadline: 1s}
""",
        ),
        (
            "for: 40s",
            "wait: 15s",
            "together:",
            "after: 15s",
            "between:",
            "The template task (Task)",
            "template lost",
            "nowhere",
        ),
    ),
    "circle": (
        _mesh("Workflow", "entry: a\ntemplates:\n- {name: a, templateType: Serial, children: [a]}"),
        ("in a circle", "fault: noop"),
    ),
}


def _litmus(name: str, env: dict[str, Any] | None = None, probes: str = "[]", info: str = "") -> str:
    pairs = [{"name": key, "value": str(value)} for key, value in (env or {}).items()]
    info = info or "appinfo: {appns: shop, applabel: app=cart, appkind: deployment}"
    return f"""
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosEngine
metadata: {{name: cart-engine, namespace: litmus}}
spec:
  engineState: active
  chaosServiceAccount: admin
  {info}
  experiments:
    - name: {name}
      spec:
        components: {{env: {yaml.safe_dump(pairs, default_flow_style=True, width=1000).strip()}}}
        probe: {probes}
"""


PROBES = """
          - name: shop-answers
            type: httpProbe
            mode: Continuous
            httpProbe/inputs:
              url: http://cart.shop/
              insecureSkipVerify: false
              responseTimeout: 500
              method: {get: {criteria: "==", responseCode: "200"}}
            runProperties: {probeTimeout: 2s, interval: 3s, retry: 3, stopOnFailure: true, initialDelay: 5s}
          - name: orders-in-database
            type: cmdProbe
            mode: Edge
            cmdProbe/inputs:
              command: psql -tc 'select count(*) from orders'
              comparator: {type: int, criteria: ">", value: "10"}
              source: {image: postgres:16, hostNetwork: false}
            runProperties: {probeTimeout: 5s, interval: 5s, attempt: 1}
          - name: pods-there
            type: k8sProbe
            mode: EOT
            k8sProbe/inputs: {version: v1, resource: pods, namespace: shop, labelSelector: app=cart, operation: present}
            runProperties: {probeTimeout: 5s, interval: 5s}
          - name: claim-there
            type: k8sProbe
            mode: SOT
            k8sProbe/inputs: {version: v1, resource: persistentvolumeclaims, namespace: shop, operation: absent}
            runProperties: {probeTimeout: 5s, interval: 5s}
          - name: quick
            type: promProbe
            mode: OnChaos
            promProbe/inputs:
              endpoint: http://prometheus.monitoring:9090
              query: histogram_quantile(0.99, sum(rate(latency_bucket{app="cart"}[1m])) by (le))
              comparator: {type: float, criteria: "<=", value: "0.3"}
            runProperties: {probeTimeout: 5s, interval: 5s}
          - name: objective
            type: sloProbe
            mode: EOT
            sloProbe/inputs: {platformEndpoint: "https://slo.example", sloIdentifier: abc}
            runProperties: {probeTimeout: 5s}
"""

MORE_PROBES = """
          - name: polled
            type: promProbe
            mode: Continuous
            promProbe/inputs:
              endpoint: http://prometheus.monitoring:9090
              query: sum(up)
              comparator: {criteria: ">=", value: "3"}
            runProperties: {probeTimeout: 5, interval: 9, retry: 1, probePollingInterval: 2}
          - name: retried
            type: cmdProbe
            mode: EOT
            cmdProbe/inputs: {command: date, comparator: {type: string, criteria: contains, value: "2"}}
            runProperties: {probeTimeout: 5, interval: 4, retry: 3, probePollingInterval: 2}
            data: ""
"""

LITMUS: dict[str, tuple[str, Wanted]] = {
    "more-probes": (
        _litmus("pod-delete", {}, MORE_PROBES),
        ("atLeast: 3", "every: 2s", "timeout: 5s", "every: 4s", "retries: 2", "matches: '2'"),
    ),
    "pod-delete": (
        _litmus(
            "pod-delete", {"TOTAL_CHAOS_DURATION": 30, "CHAOS_INTERVAL": 10, "FORCE": "true", "PODS_AFFECTED_PERC": 50}
        ),
        (
            "fault: pod-kill",
            "force: true",
            "observe: 10s",
            "take: 50%",
            "namespace: shop",
            "`spec.chaosServiceAccount`",
        ),
    ),
    "probes": (
        _litmus("pod-cpu-hog", {"TOTAL_CHAOS_DURATION": 60, "CPU_CORES": 2, "CPU_LOAD": 50, "WEIRD": "x1"}, PROBES),
        (
            *("during: continuous", "during: edge", "during: end", "during: start", "during: fault", "abortAt:"),
            *("cores: 1", "atLeast: 11", "atMost: 0.3", "The probe objective (sloProbe)", 'WEIRD ("x1")', "retries: 2"),
            *("of its own (postgres:16)", "source.hostNetwork", "initialDelay: 5s"),
        ),
    ),
    "container-kill": (
        _litmus("container-kill", {"TARGET_CONTAINER": "main", "TOTAL_CHAOS_DURATION": 20, "CHAOS_INTERVAL": 1}),
        ("fault: container-kill", "container: main", "It came 20 times"),
    ),
    "usual": (
        _litmus("pod-delete", {"PODS_AFFECTED_PERC": ""}),
        (
            "force: true",
            "observe: 5s",
            "CHAOS_INTERVAL is not in the file: 5 is taken",
            "TOTAL_CHAOS_DURATION is not in",
        ),
    ),
    "usual-stress": (_litmus("pod-io-stress", {}), ("workers: 4", "for: 2m")),
    "usual-network": (_litmus("pod-network-loss", {}), ("share: 100%", "for: 1m")),
    "zero-loss": (_litmus("pod-network-loss", {"NETWORK_PACKET_LOSS_PERCENTAGE": 0}), ("fault: noop", "strength is 0")),
    "zero-latency": (_litmus("pod-network-latency", {"NETWORK_LATENCY": "0"}), ("fault: noop", "strength is 0")),
    "zero-toxicity": (_litmus("pod-http-latency", {"TOXICITY": "0"}), ("fault: noop", "strength is 0")),
    "status-by-chance": (
        _litmus("pod-http-status-code", {"MODIFY_RESPONSE_BODY": "false", "RESPONSE_BODY": "x"}),
        ("status: 500", "a status by chance", "kept the server's body"),
    ),
    "labels": (
        _litmus("pod-delete", {}, info="appinfo: {appns: shop, applabel: '[app=a,app=b]', appkind: deployment}"),
        ("selector: app=a", "A target has one set of labels; left out: app=b"),
    ),
    "templated": (
        _litmus("pod-delete", {}, info="appinfo: {appns: '{{workflow.parameters.space}}', applabel: app=a}"),
        ("The namespace `{{workflow.parameters.space}}` is no name", "namespace: default"),
    ),
    "labels-in": (
        _litmus("pod-delete", {}, info="appinfo: {appns: shop, applabel: 'app in (a,b)', appkind: deployment}"),
        ("selector: app in (a,b)",),
    ),
    "memory": (_litmus("pod-memory-hog", {"MEMORY_CONSUMPTION": 700}), ("size: 700MiB",)),
    "io": (
        _litmus("pod-io-stress", {"VOLUME_MOUNT_PATH": "/var/data", "NUMBER_OF_WORKERS": 4}),
        ("folder: /var/data",),
    ),
    "disk": (_litmus("disk-fill", {"FILL_PERCENTAGE": 80}), ("fault: disk-fill", "leave: 20%")),
    "latency": (
        _litmus(
            "pod-network-latency", {"NETWORK_LATENCY": 300, "JITTER": 20, "DESTINATION_HOSTS": "pay.example,b.example"}
        ),
        ("delay: 300ms", "host: pay.example", "left out: b.example", "service: cart"),
    ),
    "loss": (
        _litmus("pod-network-loss", {"NETWORK_PACKET_LOSS_PERCENTAGE": 30, "RAMP_TIME": 5}),
        ("share: 30%", "wait: 5s"),
    ),
    "corruption": (_litmus("pod-network-corruption", {}), ("fault: network-corrupt",)),
    "duplication": (
        _litmus("pod-network-duplication", {"SEQUENCE": "serial"}),
        ("network-duplicate", "SEQUENCE: serial"),
    ),
    "rate": (
        _litmus("pod-network-rate-limit", {"NETWORK_BANDWIDTH": "2mbit", "BURST": "32kb"}),
        ("rate: 250kB/s", "BURST"),
    ),
    "partition": (_litmus("pod-network-partition", {"POLICY_TYPES": "ingress"}), ("direction: ingress",)),
    "dns-error": (
        _litmus("pod-dns-error", {"TARGET_HOSTNAMES": '["pay","a.b"]', "MATCH_SCHEME": "substring"}),
        ("answer: nxdomain", "*pay*"),
    ),
    "dns-spoof": (_litmus("pod-dns-spoof", {"SPOOF_MAP": '{"a.com":"b.com"}'}), ("answer: wrong", "- a.com")),
    "http-latency": (_litmus("pod-http-latency", {"LATENCY": 700, "TOXICITY": 50}), ("delay: 700ms", "share: 50%")),
    "http-status": (_litmus("pod-http-status-code", {"STATUS_CODE": "503,500"}), ("status: 503", "left out: 500")),
    "http-reset": (_litmus("pod-http-reset-peer", {"RESET_TIMEOUT": 100}), ("abort: true", "delay: 100ms")),
    "autoscaler": (_litmus("pod-autoscaler", {"REPLICA_COUNT": 4}), ("fault: scale", "to: 4")),
    "drain": (_litmus("node-drain", {"TARGET_NODE": "node-2"}), ("fault: node-drain", "node: node-2")),
    "taint": (
        _litmus("node-taint", {"TAINTS": "key=v:NoExecute"}),
        ("fault: node-taint", "effect: NoExecute", "nodeOf:"),
    ),
    "node-hog": (
        _litmus("node-cpu-hog", {"NODE_CPU_CORE": 2}),
        ("fault: noop", "The experiment node-cpu-hog was left out"),
    ),
    "unknown": (_litmus("aws-az-chaos", {}), ("fault: noop", "no fault that does the same")),
    "workload": (
        _litmus("pod-delete", {}, info="selectors: {workloads: [{kind: statefulset, namespace: shop, names: db}]}"),
        ("workload: statefulset/db",),
    ),
    "defaults": (
        _litmus("pod-memory-hog", {"TOTAL_CHAOS_DURATION": 15})
        + """
---
apiVersion: litmuschaos.io/v1alpha1
kind: ChaosExperiment
metadata: {name: pod-memory-hog}
spec:
  definition:
    scope: Namespaced
    image: litmuschaos/go-runner
    env:
      - {name: MEMORY_CONSUMPTION, value: '900'}
      - {name: TOTAL_CHAOS_DURATION, value: '60'}
      - {name: LIB, value: litmus}
""",
        ("size: 900MiB", "for: 15s"),
    ),
}

KRKN: dict[str, tuple[str, Wanted]] = {
    "pods": (
        """
- id: kill-pods
  config:
    namespace_pattern: ^shop$
    label_selector: app=cart
    kill: 2
    krkn_pod_recovery_time: 90
    exclude_label: keep=yes
    node_names: [n1]
- id: wait-for-pods
  config: {namespace_pattern: ^shop$, label_selector: app=cart, count: 3, timeout: 60}
""",
        ("fault: pod-kill", "take: 2", "observe: 90s", "app=cart,keep!=yes", "atLeast: 3", "node: n1"),
    ),
    "pods-by-name": (
        "- id: kill-pods\n  config: {namespace_pattern: '^openshift-.*$', name_pattern: '^etcd.*$', colour: red}\n",
        ("`^openshift-.*$`, a pattern", "`^etcd.*$`", "say=which-pods", ".colour"),
    ),
    "containers": (
        "scenarios:\n- {name: kill etcd, namespace: etcd, label_selector: k8s-app=etcd, container_name: etcd,"
        " action: 1, count: 1, expected_recovery_time: 60}\n",
        ("fault: container-kill", "signal: HUP", "container: etcd", "observe: 1m"),
    ),
    "disruption": (
        "scenarios:\n- {namespace: '^shop$', label_selector: '', delete_count: 1, runs: 1, sleep: 15}\n",
        ("fault: pod-kill", "which nothing takes back", "`sleep` (15)"),
    ),
    "nodes": (
        "node_scenarios:\n- {actions: [node_drain_scenario, node_reboot_scenario], node_name: n1, cloud_type: aws,"
        " timeout: 360}\n",
        ("fault: node-drain", "node: n1", "The action node_reboot_scenario was left out", "`cloud_type` (aws)"),
    ),
    "cpu": (
        "hog-type: cpu\nduration: 60\nworkers: 2\nnamespace: default\nimage: quay.io/x\ncpu-load-percentage: 90\n"
        "cpu-method: all\nnode-selector: a=b\nnumber-of-nodes: 1\ntaints: []\n",
        ("fault: cpu-stress", "cores: 1.8", "cpu-method", "node-selector"),
    ),
    "memory": ("hog-type: memory\nduration: 60\nmemory-vm-bytes: 90%\n", ("fault: memory-stress", "90% of the node's")),
    "io": (
        "hog-type: io\nduration: 60\nworkers: 3\nio-target-pod-folder: /hog\n",
        ("fault: io-stress", "folder: /hog"),
    ),
    "zone": (
        "zone_outage: {cloud_type: aws, duration: 600, vpc_id: vpc-1, subnet_id: [s-1]}\n",
        ("fault: zone-outage", "for: 10m", "zone_outage.subnet_id"),
    ),
    "application": (
        "application_outage: {duration: 600, namespace: shop, pod_selector: {app: cart}, block: [Ingress]}\n",
        ("fault: network-policy-deny", "direction: ingress", "selector: app=cart", "for: 10m"),
    ),
    "outage": (
        "- id: pod_network_outage\n  config: {namespace: shop, label_selector: app=cart, direction: [egress],"
        " egress_ports: [8443], instance_count: 2, test_duration: 120, wait_duration: 300}\n",
        ("direction: egress", "egress_ports", "take: 2", "for: 2m"),
    ),
    "shaping": (
        "- id: pod_egress_shaping\n  config: {namespace: shop, label_selector: app=cart, test_duration: 60,"
        " execution_type: serial, network_params: {latency: 500ms, loss: 0.02, bandwidth: 10mbit}}\n",
        ("together:", "delay: 500ms", "share: 0.02%", "2% was perhaps meant", "rate: 1250kB/s", "execution_type"),
    ),
    "shaping-new": (
        "- {id: pod_network_chaos, namespace: shop, target: cart-0, ingress: true, egress: true, interfaces: [],"
        " latency: 250ms, loss: 10, bandwidth: 1gbit, wait_duration: 1, instance_count: 1, execution: parallel}\n",
        (
            "looks at nothing",
            "delay: 250ms",
            "share: 10%",
            "rate: 125000kB/s",
            "- cart-0",
            "for: 2m",
            "`ingress: true` was left out",
        ),
    ),
    "shaping-bare": (
        "- {id: pod_network_chaos, label_selector: app=cart, latency: 80, loss: '0.5', bandwidth: 2}\n",
        ("delay: 80ms", "share: 0.5%", "rate: 250kB/s"),
    ),
    "shaping-older": (
        "- id: pod_egress_shaping\n  config: {pod_name: cart-0, network_params: {latency: 3000, bandwidth: 9 pc}}\n",
        ("delay: 3ms", "`bandwidth: 9 pc` is no quantity", "- cart-0"),
    ),
    "machine": (
        "scenarios:\n- {name: x, scenario: kubevirt_vm_outage, parameters: {vm_name: v, namespace: d}}\n",
        ("fault: noop", "virtual machines are no targets", "parameters.vm_name"),
    ),
    "machine-network": ("- {id: vmi_network_chaos, target: '.*'}\n", ("fault: noop", "virtual machines")),
    "interface": ("- {id: node_interface_down, recovery_time: 30}\n", ("fault: noop", "network of whole nodes")),
    "load": (
        "- http_load_scenario: {targets: {endpoints: [{url: 'http://x/', method: GET}]}, rate: 50/1s, duration: 30s}\n",
        ("fault: noop", "`traffic` of an experiment", "http_load_scenario.rate"),
    ),
    "flood": (
        "packet-size: 120\nduration: 10\ntarget-service: shop\ntarget-port: 80\n",
        ("fault: noop", "floods nothing", "target-port"),
    ),
    "storage": (
        "storage_throttle_scenario: {pod_name: p, throttle_type: iops, read_iops: 100, duration: 1m}\n",
        ("fault: noop", "`io-stress` makes a disk slow"),
    ),
    "replication": ("aws_s3_replication_scenarios: {bucket_name: b}\n", ("fault: noop", "nothing at a cloud")),
    "workers": (
        "hog-type: memory\nworkers: ''\nmemory-vm-bytes: 1g\nnode-selector: {a: ''}\n",
        ("size: 1GiB", "as many workers as the node has processors", "node-selector.a"),
    ),
    "filter": (
        "- {id: pod_network_filter, namespace: shop, target: cart-0, ingress: false, egress: true, ports: [53],"
        " protocols: [udp], test_duration: 10, image: x}\n",
        ("fault: network-partition", "direction: out", "- cart-0", "`ports` ([53])"),
    ),
    "node-filter": ("- {id: node_network_filter, namespace: d, test_duration: 10}\n", ("fault: noop", "whole nodes")),
    "node-network": ("network_chaos: {duration: 300, node_name: n, egress: {latency: 50ms}}\n", ("fault: noop",)),
    "pvc": (
        "pvc_scenario: {pvc_name: data, namespace: shop, fill_percentage: 50, duration: 60}\n",
        ("fault: disk-fill", "leave: 50%", "The claim data"),
    ),
    "time": ("time_scenarios: [{action: skew_time, object_type: pod}]\n", ("fault: noop", "clock of processes")),
    "power": ("cluster_shut_down_scenario: {runs: 1, cloud_type: gcp}\n", ("fault: noop", "stops, restarts")),
    "hijack": (
        "service_target_port: http\nservice_name: x\nservice_namespace: d\nplan: []\n",
        ("fault: noop", "hijacking"),
    ),
}

ALL: dict[str, tuple[str, str, Wanted]] = {
    f"{peer}-{name}": (peer, text, wanted)
    for peer, cases in (("chaos-mesh", CHAOS_MESH), ("litmus", LITMUS), ("krkn", KRKN))
    for name, (text, wanted) in cases.items()
}
