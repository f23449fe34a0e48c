import type { PanelRow } from './queries.ts';
import { COST } from './rows/cost.ts';
import { FAST } from './rows/fast.ts';
import { FRESH_IMAGES } from './rows/fresh-images.ts';
import { HEALTHY } from './rows/healthy.ts';
import { WORKING } from './rows/working.ts';

/** The rows of the dashboard, from top to bottom, with their panels. */
export const DASHBOARD_ROWS: Readonly<Record<string, readonly PanelRow[]>> = {
  'Is it working?': WORKING,
  'Is it healthy?': HEALTHY,
  'Is it fast?': FAST,
  'What does a rollout cost upstream?': FRESH_IMAGES,
  'What is it costing?': COST,
};
