import { credentials, Metadata, status, type ServiceError } from '@grpc/grpc-js';

import {
  ImageServiceClient,
  RuntimeServiceClient,
  type ImageFsInfoResponse,
  type StatusResponse,
} from '../../../proto/generated/cri/runtime/v1/api.ts';
import { isRecord } from '../json.ts';

/** State of the CRI plugin. */
export interface CriStatus {
  /** Configuration of the plugin. From containerd 2.0 on it lacks everything about images. */
  readonly config: Readonly<Record<string, unknown>>;
  /** The folder of the snapshotter, `<root>/io.containerd.snapshotter.v1.overlayfs`; empty when unknown. */
  readonly imageFolder: string;
}

/** containerd answers, but has no CRI plugin: it is disabled or was not loaded. */
export class NoCriError extends Error {
  override readonly name = 'NoCriError';
  readonly code = 'ERR_NO_CRI';
}

/**
 * Asks the CRI plugin for its status, as the kubelet does.
 *
 * @param timeoutMs milliseconds for each of two calls
 * @throws NoCriError when there is no CRI plugin; Error when nothing answers
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
