import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';

import {
  ImageServiceClient,
  PullImageRequest,
  type PullImageResponse,
  RuntimeServiceClient,
  VersionRequest,
} from '../../proto/generated/cri/runtime/v1/api.ts';

/** What the kubelet calls on a node to pull an image: the CRI over containerd's socket. */
export class CriClient implements Disposable {
  readonly #images: ImageServiceClient;
  readonly #runtime: RuntimeServiceClient;

  constructor(socket: string) {
    const address = `unix:${socket}`;
    this.#images = new ImageServiceClient(address, credentials.createInsecure());
    this.#runtime = new RuntimeServiceClient(address, credentials.createInsecure());
  }

  /** `RuntimeService/Version`: rejects until the plugin is ready. */
  async version(): Promise<void> {
    const options = { deadline: Date.now() + 5000 };
    await unary((done) =>
      this.#runtime.version(VersionRequest.create(), new Metadata(), options, done),
    );
  }

  /** `ImageService/PullImage`; gives the image's ID, the digest of its config. */
  async pullImage(image: string, timeoutMs: number): Promise<string> {
    const request = PullImageRequest.create({ image: { image } });
    const options = { deadline: Date.now() + timeoutMs };
    const { imageRef } = await unary<PullImageResponse>((done) =>
      this.#images.pullImage(request, new Metadata(), options, done),
    );
    return imageRef;
  }

  [Symbol.dispose](): void {
    this.#images.close();
    this.#runtime.close();
  }
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
