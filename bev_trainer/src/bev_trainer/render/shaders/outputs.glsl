#if COLOUR
layout(location = 0) out vec4 out_color;
#endif
#if LABELS
layout(location = COLOUR) out vec4 out_label;
layout(location = COLOUR + 1) out float out_depth;
#endif
