package onebit.data;

/** Which half of a data set: the images learned from, or the images judged on. */
public enum Split { TRAIN, TEST }
