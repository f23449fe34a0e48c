import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';

import {
  ImageServiceClient,
  RuntimeServiceClient,
  type ImageFsInfoResponse,
  type StatusResponse,
} from '../../../proto/generated/cri/runtime/v1/api.ts';
import { isRecord } from '../json.ts';

/** What the CRI plugin tells of its configuration. */
export interface CriStatus {
  /** The configuration of the plugin: whole before containerd 2.0, without all that is about images since. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Where images are unpacked, `<root>/io.containerd.snapshotter.v1.overlayfs`; empty when it does not say. */
  readonly imageFolder: string;
}

/** containerd answers, and has no CRI plugin: it is disabled, or could not be loaded. */
export class NoCriError extends Error {
  override readonly name = 'NoCriError';
  readonly code = 'ERR_NO_CRI';
}

/**
 * Asks the CRI plugin as the kubelet does.
 *
 * @param timeoutMs milliseconds for each of two calls
 * @throws NoCriError; Error when nothing answers
 */
export async function criStatus(socketPath: string, timeoutMs: number): Promise<CriStatus> {
  const address = `unix:${socketPath}`;
  const trust = credentials.createInsecure();
  const runtime = new RuntimeServiceClient(address, trust);
  const images = new ImageServiceClient(address, trust);
  const within = (): { deadline: number } => ({ deadline: Date.now() + timeoutMs });
  try {
    const { info } = await unary<StatusResponse>((done) =>
      runtime.status({ verbose: true }, new Metadata(), within(), done),
    );
    const folders = await unary<ImageFsInfoResponse>((done) =>
      images.imageFsInfo({}, new Metadata(), within(), done),
    ).catch((): ImageFsInfoResponse => ({ imageFilesystems: [] }));
    const config: unknown = JSON.parse(info['config'] ?? '{}');
    return {
      config: isRecord(config) ? config : {},
      imageFolder: folders.imageFilesystems[0]?.fsId?.mountpoint ?? '',
    };
  } catch (error) {
    if (isUnimplemented(error)) {
      throw new NoCriError('containerd answers, but its CRI plugin is not there', { cause: error });
    }
    throw error;
  } finally {
    runtime.close();
    images.close();
  }
}

function isUnimplemented(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === status.UNIMPLEMENTED;
}

function unary<T>(
  call: (done: (error: ServiceError | null, response: T) => void) => unknown,
): Promise<T> {
  return new Promise((resolve, reject) => {
    call((error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
  });
}
