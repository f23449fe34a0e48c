import { credentials, Metadata, type ServiceError } from '@grpc/grpc-js';

import {
  AuthConfig,
  type ContainerConfig,
  type ContainerStatusResponse,
  type CreateContainerResponse,
  type ExecSyncResponse,
  ImageServiceClient,
  type PodSandboxConfig,
  type PodSandboxStatusResponse,
  PullImageRequest,
  type PullImageResponse,
  RuntimeServiceClient,
  type RunPodSandboxResponse,
  VersionRequest,
} from '../../proto/generated/cri/runtime/v1/api.ts';

/** Limit of each call except pulls, in milliseconds, against hangs. */
const CALL_LIMIT_MS = 60_000;

/** Whom the registry asks for, as the kubelet has it of an image pull secret. */
export interface User {
  readonly username: string;
  readonly password: string;
}

/** Options of a pull. */
export interface PullOptions {
  readonly user?: User | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The CRI over containerd's socket, as the kubelet calls it to pull images and run pods. */
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
    await unary((...rest) => this.#runtime.version(VersionRequest.create(), ...rest), 5000);
  }

  /**
   * `ImageService/PullImage`; gives the image's ID, the digest of its config.
   *
   * @param signal cancels the call, as a kubelet that ends does
   */
  async pullImage(
    image: string,
    timeoutMs: number,
    { user, signal }: PullOptions = {},
  ): Promise<string> {
    const auth = user === undefined ? {} : { auth: AuthConfig.create(user) };
    const request = PullImageRequest.create({ image: { image }, ...auth });
    const { imageRef } = await unary<PullImageResponse>(
      (...rest) => this.#images.pullImage(request, ...rest),
      timeoutMs,
      signal,
    );
    return imageRef;
  }

  /** `RunPodSandbox`; gives its ID. */
  async runPodSandbox(config: PodSandboxConfig): Promise<string> {
    const { podSandboxId } = await unary<RunPodSandboxResponse>((...rest) =>
      this.#runtime.runPodSandbox({ config }, ...rest),
    );
    return podSandboxId;
  }

  /** Address in the pod network; empty for a pod on the network of the node. */
  async podAddress(podSandboxId: string): Promise<string> {
    const { status } = await unary<PodSandboxStatusResponse>((...rest) =>
      this.#runtime.podSandboxStatus({ podSandboxId }, ...rest),
    );
    return status?.network?.ip ?? '';
  }

  /** `StopPodSandbox` and `RemovePodSandbox`: ends and removes its containers too. */
  async removePodSandbox(podSandboxId: string): Promise<void> {
    await unary((...rest) => this.#runtime.stopPodSandbox({ podSandboxId }, ...rest));
    await unary((...rest) => this.#runtime.removePodSandbox({ podSandboxId }, ...rest));
  }

  /** `CreateContainer`; gives its ID. */
  async createContainer(
    podSandboxId: string,
    config: ContainerConfig,
    sandboxConfig: PodSandboxConfig,
  ): Promise<string> {
    const { containerId } = await unary<CreateContainerResponse>((...rest) =>
      this.#runtime.createContainer({ podSandboxId, config, sandboxConfig }, ...rest),
    );
    return containerId;
  }

  async startContainer(containerId: string): Promise<void> {
    await unary((...rest) => this.#runtime.startContainer({ containerId }, ...rest));
  }

  /** Sends the stop signal of the image, and SIGKILL after this number of seconds. */
  async stopContainer(containerId: string, graceSeconds: number): Promise<void> {
    const request = { containerId, timeout: graceSeconds };
    await unary((...rest) => this.#runtime.stopContainer(request, ...rest));
  }

  async removeContainer(containerId: string): Promise<void> {
    await unary((...rest) => this.#runtime.removeContainer({ containerId }, ...rest));
  }

  /** Its state, and in `info` what containerd knows of it. */
  async containerStatus(containerId: string): Promise<ContainerStatusResponse> {
    return unary<ContainerStatusResponse>((...rest) =>
      this.#runtime.containerStatus({ containerId, verbose: true }, ...rest),
    );
  }

  /** Runs a command in the container to its end, for this number of seconds at most. */
  async execSync(
    containerId: string,
    cmd: string[],
    timeout = CALL_LIMIT_MS / 1000,
  ): Promise<ExecSyncResponse> {
    const request = { containerId, cmd, timeout };
    return unary<ExecSyncResponse>((...rest) => this.#runtime.execSync(request, ...rest));
  }

  [Symbol.dispose](): void {
    this.#images.close();
    this.#runtime.close();
  }
}

/** What every method of a generated client takes behind the request. */
type Rest<T> = [
  metadata: Metadata,
  options: { readonly deadline: number },
  done: (error: ServiceError | null, response: T) => void,
];

function unary<T>(
  call: (...rest: Rest<T>) => { cancel(): void },
  timeoutMs = CALL_LIMIT_MS,
  signal?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const options = { deadline: Date.now() + timeoutMs };
    const called = call(new Metadata(), options, (error, response) => {
      if (error === null) resolve(response);
      else reject(error);
    });
    signal?.addEventListener('abort', () => {
      called.cancel();
    });
  });
}
