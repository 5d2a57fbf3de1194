/** The time for these milliseconds since the epoch, if there are any. */
export function instant(milliseconds: number | null): Date | undefined {
  return milliseconds === null ? undefined : new Date(milliseconds);
}
