import type { JobRecord } from '../../archive/record.ts';
import { formatMoment } from '../terminal/format.ts';
import { absenceReason } from '../../log/absence-reason.ts';
import { inertText } from '../../log/terminal-sanitiser.ts';

/** Why a job has no log, in words and with when it was looked for. */
export function describeAbsence(record: JobRecord): string {
  const reason = absenceReason(inertText(record.outcome));
  const { absence } = record;
  const details: string[] = [];
  if (absence?.of_job_id !== undefined) details.push(`see job ${absence.of_job_id}`);
  if (absence !== null && absence.tries > 0) {
    const status = absence.log_status === null ? '' : `, answer ${absence.log_status}`;
    details.push(`last looked for at ${formatMoment(absence.last_tried_at)} UTC${status}`);
  }
  return `No log: ${reason}.${details.length > 0 ? ` (${details.join('; ')})` : ''}`;
}
