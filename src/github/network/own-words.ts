import { z } from 'zod';

/**
 * Which answers are GitHub's own (DESIGN decision 16). Its refusals are JSON with a `message`; what a proxy, a gateway or an
 * allow list on the way answers with the same status is a page, or JSON of another shape, and says nothing of a job.
 */
const refusalSchema = z.looseObject({ message: z.string() });

/** The message of a refusal in GitHub's own words; null where somebody else answered. Not harmless: GitHub repeats names in it. */
export function ownMessage(bytes: Buffer): string | null {
  try {
    const parsed = refusalSchema.safeParse(JSON.parse(bytes.toString('utf8')));
    return parsed.success ? parsed.data.message : null;
  } catch {
    return null;
  }
}

/** Whether GitHub refuses because of an organisation's or enterprise's list of allowed addresses. */
export function saysAddressNotAllowed(message: string | null): boolean {
  return message !== null && /\bIP allow list\b/i.test(message);
}
