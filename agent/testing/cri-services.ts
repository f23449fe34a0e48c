import type { handleUnaryCall, Server } from '@grpc/grpc-js';

import {
  ImageServiceService,
  RuntimeServiceService,
  type ImageFsInfoResponse,
  type StatusResponse,
} from '../../proto/generated/cri/runtime/v1/api.ts';

/** Answers of the CRI plugin. */
export interface CriInit {
  /** The CRI's `info.config`; without it there is no CRI plugin. */
  readonly cri?: Readonly<Record<string, unknown>>;
  /** Where images are unpacked. */
  readonly imageFolder?: string;
}

/** Adds the calls of the CRI that read its state. */
export function serveCri(server: Server, { cri, imageFolder = '' }: CriInit): void {
  if (cri === undefined) return;
  const config = JSON.stringify(cri);
  server.addService(RuntimeServiceService, {
    status: always<StatusResponse>({ status: { conditions: [] }, info: { config } }),
  });
  const folders = imageFolder === '' ? [] : [{ fsId: { mountpoint: imageFolder } }];
  server.addService(ImageServiceService, {
    imageFsInfo: always<ImageFsInfoResponse>({ imageFilesystems: folders }),
  });
}

function always<A>(answer: A): handleUnaryCall<object, A> {
  return (_call, done) => {
    done(null, answer);
  };
}
