/** People as the pages name them. */

/** The name on what somebody left behind; null where the account is gone. */
export const nameOf = (person: string | null | undefined): string => person ?? "somebody who left";
