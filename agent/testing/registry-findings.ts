import assert from 'node:assert/strict';

import { parseRegistries, type ExternalCheck } from '../hosts/registries/parse-registries.ts';
import { renderFindings } from '../hosts/registries/render-findings.ts';

/** Checks the rendered findings in a registries.yaml named `F`, with Unix and with Windows line ends. */
export function assertFindings(text: string, expected: string, check?: ExternalCheck): void {
  for (const file of [text, text.replaceAll('\n', '\r\n')]) {
    assert.equal(renderFindings('F', parseRegistries(file, check).findings), expected);
  }
}

/** A registries.yaml with every key of the format, as the documentation of k3s has it. */
export const WHOLE_REGISTRIES = `# kept in git
mirrors:
  docker.io:
  registry.k8s.io: ~
  "*":
    endpoint: ["https://harbor.example/v2/proxy"]
  localhost:5000:
    endpoint:
      - "http://localhost:5000"
  "[::1]:5000":
  GCR.io:
    endpoint:
      - "http://127.0.0.1:30500"
      - https://registry-1.docker.io/v2/
      - https://m.example:5443
    rewrite:
      "^rancher/(.*)": "mirror/$1"
configs:
  "127.0.0.1:30500":
    auth: { username: u, password: 0123 }
  docker.io:
    auth:
      identity_token: hunter2
  registry-1.docker.io:
    tls:
      insecure_skip_verify: yes
  m.example:5443:
    auth:
      auth: aHVudGVyMjpodW50ZXIy
    tls:
      ca_file: /ca
      cert_file: /cert
      key_file: /key
      insecure_skip_verify: false
  harbor.example:
    auth: "aHVudGVyMjpodW50ZXIy"
`;
