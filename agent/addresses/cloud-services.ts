/**
 * Addresses of services of clouds, which trust each client on a machine of that cloud: metadata with credentials, above all.
 * Neither a node nor a registry is there. 169.254.0.0/16, where most of them are, is left to lists of link-local addresses.
 */
export const CLOUD_SERVICES: readonly string[] = [
  '100.100.100.200/32', // Alibaba Cloud, metadata
  'fd00:100::100:200/128', // the same over IPv6
  '168.63.129.16/32', // Azure, the agent of the host
  '192.0.0.192/32', // Oracle Cloud, metadata
  'fd00:c1::a9fe:a9fe/128', // the same over IPv6
  'fd00:ec2::254/128', // AWS, metadata
  'fd00:ec2::23/128', // EKS, identities of pods
  'fd20:ce::254/128', // Google Cloud, metadata
  'fd00:42::42/128', // Scaleway, metadata
  'fd00:a9fe:a9fe::1/128', // Akamai, metadata
];

/** Prefixes of IPv6 that contain an IPv4 address, and lead to it. */
export const IPV4_IN_IPV6: readonly string[] = [
  '64:ff9b:1::/48', // NAT64 with a prefix of its own (RFC 8215)
  '2001::/32', // Teredo (RFC 4380)
  '2002::/16', // 6to4 (RFC 3056)
];
