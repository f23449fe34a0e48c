import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  Server,
  ServerCredentials,
  status,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type sendUnaryData,
} from '@grpc/grpc-js';

import {
  ContentService,
  type InfoRequest,
  type InfoResponse,
  type ListContentRequest,
  type ListContentResponse,
  type ReadContentRequest,
  type ReadContentResponse,
} from '../../proto/generated/containerd/services/content/v1/content.ts';
import {
  ImagesService,
  type GetImageRequest,
  type GetImageResponse,
  type ListImagesRequest,
  type ListImagesResponse,
} from '../../proto/generated/containerd/services/images/v1/images.ts';
import {
  VersionService,
  type VersionResponse,
} from '../../proto/generated/containerd/services/version/v1/version.ts';
import {
  ImageServiceService,
  RuntimeServiceService,
  type ImageFsInfoResponse,
  type StatusResponse,
} from '../../proto/generated/cri/runtime/v1/api.ts';
import type { TestImage } from './image.ts';

/** What a {@link ContainerdServer} says. */
export interface ContainerdServerInit {
  readonly version?: string;
  /** The CRI's `info.config`; without it there is no CRI plugin. */
  readonly cri?: Readonly<Record<string, unknown>>;
  /** Where images are unpacked. */
  readonly imageFolder?: string;
  /** Names of images by namespace. */
  readonly images?: Readonly<Record<string, Readonly<Record<string, TestImage>>>>;
  /** Blobs of these digests are not there any more. */
  readonly gone?: readonly string[];
}

/** The part of containerd's API that is asked for its state, with answers of the test's choice, on a real socket. */
export class ContainerdServer implements Disposable {
  readonly socketPath: string;
  readonly #folder: string;
  readonly #server = new Server();
  readonly #init: ContainerdServerInit;

  private constructor(init: ContainerdServerInit) {
    this.#init = init;
    this.#folder = mkdtempSync(join(tmpdir(), 'pg-ctds-'));
    this.socketPath = join(this.#folder, 'c.sock');
  }

  static async start(init: ContainerdServerInit = {}): Promise<ContainerdServer> {
    const server = new ContainerdServer(init);
    server.#serve();
    const address = `unix:${server.socketPath}`;
    await new Promise<void>((resolve, reject) => {
      server.#server.bindAsync(address, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
    return server;
  }

  [Symbol.dispose](): void {
    this.#server.forceShutdown();
    rmSync(this.#folder, { recursive: true });
  }

  #serve(): void {
    const { version = '2.1.9', cri, imageFolder = '', gone = [] } = this.#init;
    const says = <Q, A>(answer: A): handleUnaryCall<Q, A> => {
      return (_call, done) => {
        done(null, answer);
      };
    };
    this.#server.addService(VersionService, {
      version: says<object, VersionResponse>({ version, revision: '' }),
    });
    if (cri !== undefined) {
      const config = JSON.stringify(cri);
      this.#server.addService(RuntimeServiceService, {
        status: says<object, StatusResponse>({ status: { conditions: [] }, info: { config } }),
      });
      const folders = imageFolder === '' ? [] : [{ fsId: { mountpoint: imageFolder } }];
      this.#server.addService(ImageServiceService, {
        imageFsInfo: says<object, ImageFsInfoResponse>({ imageFilesystems: folders }),
      });
    }
    const list: handleUnaryCall<ListImagesRequest, ListImagesResponse> = (call, done) => {
      done(null, { images: this.#records(namespaceOf(call)) });
    };
    const get: handleUnaryCall<GetImageRequest, GetImageResponse> = (call, done) => {
      const image = this.#records(namespaceOf(call)).find(({ name }) => name === call.request.name);
      if (image === undefined) notFound(done);
      else done(null, { image });
    };
    this.#server.addService(ImagesService, { list, get });
    const blobs = (namespace: string): [string, Buffer][] =>
      Object.values(this.#init.images?.[namespace] ?? {})
        .flatMap((image) => [...image.blobs])
        .filter(([digest]) => !gone.includes(digest));
    const listBlobs: handleServerStreamingCall<ListContentRequest, ListContentResponse> = (
      call,
    ) => {
      call.write({
        info: blobs(namespaceOf(call)).map(([digest, bytes]) => infoOf(digest, bytes)),
      });
      call.end();
    };
    const info: handleUnaryCall<InfoRequest, InfoResponse> = (call, done) => {
      const { digest } = call.request;
      const found = blobs(namespaceOf(call)).find(([it]) => it === digest);
      if (found === undefined) notFound(done);
      else done(null, { info: infoOf(...found) });
    };
    const read: handleServerStreamingCall<ReadContentRequest, ReadContentResponse> = (call) => {
      const found = blobs(namespaceOf(call)).find(([it]) => it === call.request.digest);
      call.write({ offset: 0, data: found?.[1] ?? Buffer.alloc(0) });
      call.end();
    };
    this.#server.addService(ContentService, { list: listBlobs, info, read });
  }

  #records(namespace: string): NonNullable<GetImageResponse['image']>[] {
    const images = Object.entries(this.#init.images?.[namespace] ?? {});
    return images.map(([name, { manifest }]) => ({
      name,
      labels: {},
      target: { ...manifest, annotations: {} },
      createdAt: undefined,
      updatedAt: undefined,
    }));
  }
}

function namespaceOf({ metadata }: Parameters<handleUnaryCall<unknown, unknown>>[0]): string {
  return String(metadata.get('containerd-namespace')[0]);
}

function infoOf(digest: string, bytes: Buffer): NonNullable<InfoResponse['info']> {
  return { digest, size: bytes.length, createdAt: undefined, labels: {} };
}

function notFound(done: sendUnaryData<never>): void {
  done({ code: status.NOT_FOUND, details: 'not found' });
}
