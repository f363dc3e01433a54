/** Changed by every round of the measurement. */
export const EDITION: number = 0;
