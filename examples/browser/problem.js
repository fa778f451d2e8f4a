// What a user can do something about, in one sentence; anything else that is thrown is a mistake of the page.

export class Problem extends Error {}
