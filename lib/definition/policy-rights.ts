import type { SyncPolicy } from './module.options.js';

/** Whether a policy allows creating what is missing. */
export function allowsCreation({ synchronize }: SyncPolicy): boolean {
  return synchronize === true || synchronize === 'create';
}

/** Whether a policy allows changing views, not only creating them. */
export function allowsChanges({ synchronize, onDrift }: SyncPolicy): boolean {
  return synchronize === true && onDrift === 'apply';
}

/** Whether a policy drops views that no class declares any more. */
export function prunes(policy: SyncPolicy): boolean {
  return policy.prune && allowsChanges(policy);
}
