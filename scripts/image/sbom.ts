import type { ShippedPackage } from './agent-layer.ts';
import type { DebianPackage } from './base-layer.ts';
import type { ImageMetadata } from './metadata.ts';
import type { LockedPackage } from './npm-package.ts';
import type { Descriptor } from '../oci-image/oci-layout.ts';

/** Media type of the document (IANA). */
export const SPDX_JSON = 'application/spdx+json';

/** The parts of an image. */
export interface SbomInit {
  readonly metadata: ImageMetadata;
  /** The image's manifest. */
  readonly image: Descriptor;
  readonly suite: string;
  readonly node: LockedPackage;
  readonly npm: readonly ShippedPackage[];
  readonly debian: readonly DebianPackage[];
}

interface SpdxPackage {
  readonly SPDXID: string;
  readonly name: string;
  readonly versionInfo: string;
  readonly downloadLocation: string;
  readonly filesAnalyzed: false;
  readonly licenseConcluded: string;
  readonly licenseDeclared: string;
  readonly copyrightText: string;
  readonly primaryPackagePurpose: string;
  readonly checksums?: readonly { readonly algorithm: string; readonly checksumValue: string }[];
  readonly externalRefs: readonly {
    readonly referenceCategory: string;
    readonly referenceType: string;
    readonly referenceLocator: string;
  }[];
}

/** The software bill of materials as a document of SPDX 2.3. The same image gives the same document. */
export function spdxDocument(init: SbomInit): unknown {
  const { metadata, image } = init;
  const root = spdxPackage('peerglass', 'image', metadata.version, 'CONTAINER', metadata.licence, {
    purl: `pkg:oci/peerglass@${encodeURIComponent(image.digest)}`,
    checksum: ['SHA256', image.digest.slice('sha256:'.length)],
  });
  const parts = [nodePackage(init.node), ...init.npm.map(npmPackage), ...debianPackages(init)];
  return {
    spdxVersion: 'SPDX-2.3',
    dataLicense: 'CC0-1.0',
    SPDXID: 'SPDXRef-DOCUMENT',
    name: `peerglass-${metadata.version}-${image.platform?.architecture ?? ''}`,
    documentNamespace: `https://spdx.org/spdxdocs/peerglass-${image.digest.replace(':', '-')}`,
    creationInfo: { created: metadata.created, creators: ['Tool: peerglass-build-image'] },
    packages: [root, ...parts],
    relationships: [
      relationship('SPDXRef-DOCUMENT', 'DESCRIBES', root.SPDXID),
      ...parts.map((part) => relationship(root.SPDXID, 'CONTAINS', part.SPDXID)),
    ],
  };
}

function nodePackage(node: LockedPackage): SpdxPackage {
  return spdxPackage('node', 'runtime', node.version, 'APPLICATION', node.license, {
    purl: `pkg:generic/node@${node.version}`,
    cpe: `cpe:2.3:a:nodejs:node.js:${node.version}:*:*:*:*:*:*:*`,
    checksum: sha512(node),
  });
}

function npmPackage(shipped: ShippedPackage): SpdxPackage {
  const { name, version, license } = shipped;
  return spdxPackage(name, 'npm', version, 'LIBRARY', license, {
    purl: `pkg:npm/${name.replace('@', '%40')}@${version}`,
    checksum: sha512(shipped),
  });
}

function debianPackages({ debian, suite }: SbomInit): SpdxPackage[] {
  return debian.map(({ name, version, architecture, source }) => {
    const upstream = source === undefined ? '' : `&upstream=${encodeURIComponent(source)}`;
    const where = `arch=${architecture}&distro=debian-${suite}${upstream}`;
    // Debian packages have several licences, which are in the copyright file in the image.
    return spdxPackage(name, 'deb', version, 'LIBRARY', undefined, {
      purl: `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?${where}`,
    });
  });
}

function spdxPackage(
  name: string,
  kind: string,
  version: string,
  purpose: string,
  licence: string | undefined,
  init: {
    readonly purl: string;
    readonly cpe?: string;
    readonly checksum?: readonly [string, string] | undefined;
  },
): SpdxPackage {
  const { purl, cpe, checksum } = init;
  const references = [
    {
      referenceCategory: 'PACKAGE-MANAGER',
      referenceType: 'purl',
      referenceLocator: purl,
    },
  ];
  if (cpe !== undefined) {
    references.push({
      referenceCategory: 'SECURITY',
      referenceType: 'cpe23Type',
      referenceLocator: cpe,
    });
  }
  return {
    SPDXID: `SPDXRef-${kind}-${`${name}-${version}`.replaceAll(/[^A-Za-z0-9.-]+/g, '-')}`,
    name,
    versionInfo: version,
    downloadLocation: 'NOASSERTION',
    filesAnalyzed: false,
    licenseConcluded: 'NOASSERTION',
    licenseDeclared: licence ?? 'NOASSERTION',
    copyrightText: 'NOASSERTION',
    primaryPackagePurpose: purpose,
    ...(checksum === undefined
      ? {}
      : { checksums: [{ algorithm: checksum[0], checksumValue: checksum[1] }] }),
    externalRefs: references,
  };
}

/** The digest of the package's archive, from package-lock.json. */
function sha512({ integrity }: LockedPackage): readonly [string, string] | undefined {
  const base64 = /^sha512-(.+)$/.exec(integrity ?? '')?.[1];
  return base64 === undefined
    ? undefined
    : ['SHA512', Buffer.from(base64, 'base64').toString('hex')];
}

function relationship(from: string, type: string, to: string): unknown {
  return { spdxElementId: from, relationshipType: type, relatedSpdxElement: to };
}
