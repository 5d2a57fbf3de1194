import type { SyncPolicy } from './module.options.js';

/** Whether a policy lets be made what is missing. */
export function allowsCreation({ synchronize }: SyncPolicy): boolean {
  return synchronize === true || synchronize === 'create';
}

/** Whether a policy lets views be changed, and not just made. */
export function allowsChanges({ synchronize, onDrift }: SyncPolicy): boolean {
  return synchronize === true && onDrift === 'apply';
}

/** Whether a policy has views dropped that nobody declares any more. */
export function prunes(policy: SyncPolicy): boolean {
  return policy.prune && allowsChanges(policy);
}
