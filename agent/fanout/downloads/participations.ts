import type { ContentRequest } from '../../oci/content-request.ts';
import type { Digest } from '../../oci/digest.ts';
import type { OpenDownload } from './open-download.ts';
import {
  Participation,
  type ParticipationComponents,
  type ParticipationStatus,
  type Role,
} from './participation.ts';

/** Downloads that are reported at the same time; further ones have an arbiter, and no reports. */
const MAX_PARTICIPATIONS = 1000;

/** Learns how the downloads of this node go on; see `ParticipationObserver`. */
export interface DownloadObserver {
  received(request: ContentRequest, state: Role['state'], bytes: number): void;
  fetched(digest: Digest, size: number): void;
  /** No more is reported of it. */
  ended(digest: Digest): void;
}

/** A download, as `/debug/downloads` shows it. */
export interface DownloadStatus extends ParticipationStatus {
  readonly digest: Digest;
  readonly registry: string;
  readonly repository: string;
}

/** What all participations share. */
export type ParticipationsComponents = Omit<ParticipationComponents, 'ingest' | 'observer'> & {
  readonly observer: DownloadObserver;
};

/** The downloads of this node of which an arbiter gets reports, by digest. */
export class Participations {
  readonly #components: ParticipationsComponents;
  readonly #zone: string;
  readonly #all = new Map<
    Digest,
    { readonly participation: Participation; readonly request: ContentRequest }
  >();

  constructor(components: ParticipationsComponents, zone: string) {
    this.#components = components;
    this.#zone = zone;
  }

  /** The one that is under way for this digest. */
  of(digest: Digest): Participation | undefined {
    return this.#all.get(digest)?.participation;
  }

  /**
   * Begins to report a download, unless there are too many.
   *
   * @param renewMs when the arbiter wants the first report
   * @returns whether it has taken the download over, and disposes of it
   */
  begin(
    request: ContentRequest,
    { ingest, progress }: OpenDownload,
    role: Role,
    renewMs: number,
  ): boolean {
    const { digest } = ingest;
    const present = this.of(digest);
    if (present === undefined && this.#all.size >= MAX_PARTICIPATIONS) return false;
    // A client that began anew; the end of its first download is of no interest any more.
    void present?.stop();
    const { observer, ...shared } = this.#components;
    const onEnd = (): void => {
      if (this.of(digest) !== participation) return;
      this.#all.delete(digest);
      observer.ended(digest);
    };
    const participation = new Participation(
      {
        ...{ ...shared, ingest },
        observer: {
          received: (state, bytes) => {
            observer.received(request, state, bytes);
          },
          fetched: observer.fetched.bind(observer),
        },
      },
      { zone: this.#zone, role, renewMs, onEnd },
      progress,
    );
    this.#all.set(digest, { participation, request });
    return true;
  }

  status(): readonly DownloadStatus[] {
    return [...this.#all].map(([digest, { participation, request }]) => ({
      digest,
      registry: request.registry,
      repository: request.repository,
      ...participation.status(),
    }));
  }

  /** Ends all reports. */
  async stop(): Promise<void> {
    await Promise.all([...this.#all.values()].map(({ participation }) => participation.stop()));
  }
}
