import type { Logger } from 'pino';

/** Makes the logger of a component: its lines have the component's name in the field `component`. */
export type ComponentLogger = (component: string) => Logger;
