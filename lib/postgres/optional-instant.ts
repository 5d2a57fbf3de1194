/** The instant that so many milliseconds since the epoch stand for, if there is one. */
export function instant(milliseconds: number | null): Date | undefined {
  return milliseconds === null ? undefined : new Date(milliseconds);
}
